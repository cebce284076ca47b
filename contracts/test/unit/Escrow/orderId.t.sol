// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IEscrow} from "../../../src/interfaces/IEscrow.sol";
import {TestUSDC} from "../../../src/dev/TestUSDC.sol";
import {EscrowBase} from "../../base/EscrowBase.sol";

contract OrderIdTest is EscrowBase {
    string private constant FILE = "../docs/protocols/vectors/eip712-order.json";

    /// @notice The same file is checked from Rust, and was made by a third implementation.
    function test_the_shared_vectors_hold() public {
        string memory json = vm.readFile(FILE);
        address buyer_ = vm.addr(uint256(vm.parseJsonBytes32(json, ".buyerKey")));
        address provider_ = vm.addr(uint256(vm.parseJsonBytes32(json, ".providerKey")));

        uint256 cases = 0;
        for (string memory path = _case(0); vm.keyExistsJson(json, path); path = _case(++cases)) {
            IEscrow.Order memory order = _read(json, path);
            vm.assertEq(order.buyer, buyer_, "buyer");
            vm.assertEq(order.provider, provider_, "provider");
            _check(json, path, order);
        }
        vm.assertTrue(cases >= 3, "path least three vectors");
    }

    function test_every_field_changes_the_id(uint256 mask) public view {
        IEscrow.Order memory order = _order();
        bytes memory fields = abi.encode(order);
        bytes32 id = escrow.orderId(order);
        mask = bound(mask, 1, 255);
        for (uint256 field = 0; field < 18; field++) {
            bytes memory changed = bytes.concat(fields);
            // flip bits in the low byte of one word, which every field type has
            changed[32 * field + 31] ^= bytes1(uint8(mask));
            vm.assertTrue(escrow.orderId(abi.decode(changed, (IEscrow.Order))) != id, "same id");
        }
    }

    function test_an_order_with_a_word_too_large_for_its_field_cannot_be_funded(uint256 field, uint256 excess) public {
        IEscrow.Order memory order = _seriousOrder();
        _stake(provider, order.stake);
        usdc.mint(buyer, _deposit(order));
        bytes memory fields = abi.encode(order);
        // how many bits each field has; the last two have them all
        uint8[16] memory sizes = [160, 160, 160, 160, 160, 96, 96, 96, 16, 16, 8, 40, 40, 32, 32, 32];
        field = bound(field, 0, 15);
        uint256 word;
        assembly {
            word := mload(add(fields, mul(add(field, 1), 0x20)))
        }
        word |= bound(excess, 1, type(uint256).max >> sizes[field]) << sizes[field];
        assembly {
            mstore(add(fields, mul(add(field, 1), 0x20)), word)
        }
        // the id of what was sent, and good signatures over it
        (bool ok, bytes memory answer) = address(escrow).call(bytes.concat(IEscrow.orderId.selector, fields));
        vm.assertTrue(ok, "an id");
        bytes32 id = abi.decode(answer, (bytes32));
        bytes32 digest = _receiveDigest(address(usdc), buyer, address(escrow), _deposit(order), 0, order.fundBy, id);
        bytes memory auth = _sign(BUYER_KEY, digest);
        bytes memory sig = _sign(PROVIDER_KEY, id);
        bytes memory tail = abi.encode(auth, sig);
        assembly {
            // the offsets count from the order
            mstore(add(tail, 0x20), add(mload(add(tail, 0x20)), 0x240))
            mstore(add(tail, 0x40), add(mload(add(tail, 0x40)), 0x240))
        }
        (ok, answer) = address(escrow).call(bytes.concat(IEscrow.fund.selector, fields, tail));
        vm.assertTrue(!ok, "funded");
        vm.assertEq(answer.length, 0, "refused by the decoder");
    }

    function test_another_contract_gives_another_id() public {
        IEscrow other = _deployEscrow(address(usdc));
        vm.assertTrue(other.orderId(_order()) != escrow.orderId(_order()), "same id");
    }

    function test_another_chain_gives_another_id(uint64 chain) public {
        vm.assume(chain != block.chainid && chain != 0);
        bytes32 id = escrow.orderId(_order());
        vm.chainId(chain);
        vm.assertTrue(escrow.orderId(_order()) != id, "same id");
    }

    function _check(string memory json, string memory path, IEscrow.Order memory order) private {
        vm.chainId(vm.parseJsonUint(json, _key(path, ".chainId")));
        IEscrow escrow_ = IEscrow(vm.parseJsonAddress(json, _key(path, ".escrow")));
        TestUSDC usdc_ = TestUSDC(vm.parseJsonAddress(json, _key(path, ".token")));
        // the code finds out that it runs elsewhere and makes its domain anew
        vm.etch(address(escrow_), address(escrow).code);
        vm.etch(address(usdc_), address(usdc).code);

        bytes32 id = escrow_.orderId(order);
        _assertWord(json, _key(path, ".orderId"), id);
        _assertWord(json, _key(path, ".escrowDomainSeparator"), _escrowDomain(address(escrow_)));
        _assertWord(json, _key(path, ".tokenDomainSeparator"), usdc_.DOMAIN_SEPARATOR());
        _assertWord(json, _key(path, ".releaseDigest"), _releaseDigest(address(escrow_), id));
        _assertWord(json, _key(path, ".refundDigest"), _refundDigest(address(escrow_), id));

        uint256 deposit = vm.parseJsonUint(json, _key(path, ".deposit"));
        vm.assertEq(deposit, _deposit(order), "deposit");
        bytes32 auth = _receiveDigest(address(usdc_), order.buyer, address(escrow_), deposit, 0, order.fundBy, id);
        _assertWord(json, _key(path, ".receiveWithAuthorizationDigest"), auth);

        _assertSigned(json, _key(path, ".buyerAuth"), order.buyer, auth);
        _assertSigned(json, _key(path, ".providerSig"), order.provider, id);
        _assertSigned(json, _key(path, ".releaseSig"), order.buyer, _releaseDigest(address(escrow_), id));
        _assertSigned(json, _key(path, ".refundSig"), order.provider, _refundDigest(address(escrow_), id));
    }

    function _assertWord(string memory json, string memory key, bytes32 found) private pure {
        vm.assertEq(found, vm.parseJsonBytes32(json, key), key);
    }

    function _assertSigned(string memory json, string memory key, address signer, bytes32 digest) private pure {
        bytes memory signature = vm.parseJsonBytes(json, key);
        (bytes32 r, bytes32 s) = abi.decode(signature, (bytes32, bytes32));
        vm.assertEq(ecrecover(digest, uint8(signature[64]), r, s), signer, key);
    }

    function _read(string memory json, string memory path) private pure returns (IEscrow.Order memory order) {
        path = _key(path, ".order");
        order.buyer = vm.parseJsonAddress(json, _key(path, ".buyer"));
        order.provider = vm.parseJsonAddress(json, _key(path, ".provider"));
        order.validator = vm.parseJsonAddress(json, _key(path, ".validator"));
        order.arbitrator = vm.parseJsonAddress(json, _key(path, ".arbitrator"));
        order.feeTo = vm.parseJsonAddress(json, _key(path, ".feeTo"));
        order.amount = uint96(vm.parseJsonUint(json, _key(path, ".amount")));
        order.bond = uint96(vm.parseJsonUint(json, _key(path, ".bond")));
        order.stake = uint96(vm.parseJsonUint(json, _key(path, ".stake")));
        order.feeBps = uint16(vm.parseJsonUint(json, _key(path, ".feeBps")));
        order.silentBps = uint16(vm.parseJsonUint(json, _key(path, ".silentBps")));
        order.flags = uint8(vm.parseJsonUint(json, _key(path, ".flags")));
        order.fundBy = uint40(vm.parseJsonUint(json, _key(path, ".fundBy")));
        order.deliverBy = uint40(vm.parseJsonUint(json, _key(path, ".deliverBy")));
        order.reviewSecs = uint32(vm.parseJsonUint(json, _key(path, ".reviewSecs")));
        order.counterSecs = uint32(vm.parseJsonUint(json, _key(path, ".counterSecs")));
        order.ruleSecs = uint32(vm.parseJsonUint(json, _key(path, ".ruleSecs")));
        order.terms = vm.parseJsonBytes32(json, _key(path, ".terms"));
        order.salt = vm.parseJsonUint(json, _key(path, ".salt"));
    }

    function _case(uint256 index) private pure returns (string memory) {
        return string.concat(".cases[", vm.toString(index), "]");
    }

    function _key(string memory path, string memory field) private pure returns (string memory) {
        return string.concat(path, field);
    }
}
