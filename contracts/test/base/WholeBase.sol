// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {IPanel} from "../../src/interfaces/IPanel.sol";
import {IProviderStake} from "../../src/interfaces/IProviderStake.sol";
import {DenylistUSDC} from "../mocks/DenylistUSDC.sol";
import {Deployer} from "../mocks/Deployer.sol";
import {IRegistry8004Dev} from "../mocks/IRegistry8004Dev.sol";
import {EscrowBase} from "./EscrowBase.sol";
import {FiatTokenBase} from "./FiatTokenBase.sol";

/// @title Everything as it is shipped, and nothing played: USDC's bytecode, stake and escrow that name each other, the
/// registry, and a panel of two out of three that validates and arbitrates
abstract contract WholeBase is EscrowBase, FiatTokenBase {
    uint8 internal constant AS_VALIDATOR = 0;
    uint8 internal constant AS_ARBITRATOR = 1;
    uint40 internal constant UNTIL = uint40(NOW + 365 days);

    IProviderStake internal providerStake;
    IRegistry8004Dev internal registry;
    IPanel internal panel;
    uint256[3] internal memberKeys;
    address[] internal members;
    uint256 private _nextNonce;

    function setUp() public virtual override {
        vm.warp(NOW);
        fiat = _deployFiatToken();
        usdc = DenylistUSDC(address(fiat));
        registry = IRegistry8004Dev(vm.deployCode("out/Registry8004.sol/Registry8004.json", ""));
        Deployer deployer = new Deployer();
        bytes memory stakeArgs = abi.encode(usdc, deployer.addressAt(2));
        providerStake = IProviderStake(deployer.deploy(_code("out/Stake.sol/Stake.json", stakeArgs)));
        bytes memory escrowArgs = abi.encode(usdc, providerStake, registry);
        escrow = IEscrow(deployer.deploy(_code("out/Escrow.sol/Escrow.json", escrowArgs)));
        _seatMembers();
        panel = IPanel(vm.deployCode("out/Panel.sol/Panel.json", abi.encode(escrow, members, 2)));
        (validator, arbitrator) = (address(panel), address(panel));
    }

    /// @notice Puts up stake on the provider's authorisation.
    function _stake(address who, uint96 amount) internal override {
        usdc.mint(who, amount);
        bytes32 nonce = keccak256(abi.encode("stake", _nextNonce++));
        bytes32 digest = _receiveDigest(address(usdc), who, address(providerStake), amount, 0, UNTIL, nonce);
        providerStake.deposit(who, amount, UNTIL, nonce, _sign(PROVIDER_KEY, digest));
    }

    function _voteDigest(IEscrow.Order memory order, uint8 role, uint96 pay, bytes32 evidence, uint40 until)
        internal
        view
        returns (bytes32)
    {
        bytes32 typehash = keccak256("Vote(bytes32 orderId,uint8 role,uint96 pay,bytes32 evidence,uint40 validUntil)");
        bytes32 content = keccak256(abi.encode(typehash, escrow.orderId(order), role, pay, evidence, until));
        return _digest(_domain("haggle Panel", "1", address(panel)), content);
    }

    /// @notice What the members whose bits are set sign, ascending.
    function _ballots(uint256 bits, bytes32 digest) internal view returns (IPanel.Ballot[] memory ballots) {
        ballots = new IPanel.Ballot[]((bits & 1) + ((bits >> 1) & 1) + ((bits >> 2) & 1));
        uint256 count = 0;
        for (uint256 i = 0; i < 3; i++) {
            if ((bits >> i) & 1 == 1) ballots[count++] = IPanel.Ballot(members[i], _sign(memberKeys[i], digest));
        }
    }

    /// @notice Two members' votes for a ruling of `pay` over the evidence of every test's dispute.
    function _rulingOf(IEscrow.Order memory order, uint96 pay) internal view returns (IPanel.Ballot[] memory) {
        return _ballots(3, _voteDigest(order, AS_ARBITRATOR, pay, EVIDENCE, UNTIL));
    }

    /// @notice The panel's ERC-1271 signature of a verdict.
    function _verdictOf(IEscrow.Order memory order, uint96 pay, uint40 until, IPanel.Ballot[] memory ballots)
        internal
        view
        returns (bytes memory)
    {
        return abi.encode(IPanel.Verdict(escrow.orderId(order), pay, EVIDENCE, until, ballots));
    }

    function _panelRules(IEscrow.Order memory order, uint96 pay) internal {
        IPanel.Ballot[] memory ballots = _rulingOf(order, pay);
        vm.prank(relayer);
        panel.rule(order, pay, UNTIL, ballots);
    }

    function _assertStake(uint256 staked, uint256 locked, uint256 thawing) internal view {
        (uint96 hasStaked, uint96 hasLocked, uint96 hasThawing,) = providerStake.stakeOf(provider);
        vm.assertEq(hasStaked, staked, "staked");
        vm.assertEq(hasLocked, locked, "locked");
        vm.assertEq(hasThawing, thawing, "thawing");
        vm.assertEq(
            usdc.balanceOf(address(providerStake)), staked + providerStake.owed(buyer), "what the stake contract holds"
        );
    }

    function _code(string memory artifact, bytes memory args) internal view returns (bytes memory) {
        return abi.encodePacked(vm.getCode(artifact), args);
    }

    function _seatMembers() private {
        for (uint256 i = 0; i < 3; i++) {
            memberKeys[i] = uint256(keccak256(abi.encode("a member", i)));
        }
        for (uint256 i = 0; i < 3; i++) {
            for (uint256 j = i + 1; j < 3; j++) {
                bool swapped = vm.addr(memberKeys[j]) < vm.addr(memberKeys[i]);
                if (swapped) (memberKeys[i], memberKeys[j]) = (memberKeys[j], memberKeys[i]);
            }
            members.push(vm.addr(memberKeys[i]));
        }
    }
}
