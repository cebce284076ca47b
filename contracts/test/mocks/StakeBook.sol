// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {IStake} from "../../src/interfaces/IStake.sol";
import {TestUSDC} from "../../src/dev/TestUSDC.sol";

/// @title A stake contract as the escrow sees it, which can be told to fail
contract StakeBook is IStake {
    enum Failure {
        None,
        Revert,
        BurnGas
    }

    TestUSDC public immutable token;
    mapping(address provider => uint256) public free;
    mapping(bytes32 id => uint256) public lockedFor;
    mapping(bytes32 id => address) public ownerOf;
    mapping(address account => uint256) public owed;
    Failure public failure;
    uint256 public gasToBurn;

    address private _reenter;
    bytes private _reentry;
    bool public reentered;

    error TooLittle();

    constructor(TestUSDC token_) {
        token = token_;
    }

    function put(address provider, uint96 amount) external {
        free[provider] += amount;
    }

    function fail(Failure how) external {
        failure = how;
    }

    function burnGas(uint256 amount) external {
        gasToBurn = amount;
    }

    function reenter(address target, bytes calldata data) external {
        (_reenter, _reentry) = (target, data);
    }

    function lock(address provider, bytes32 id, uint96 amount) external {
        _misbehave();
        if (free[provider] < amount) revert TooLittle();
        free[provider] -= amount;
        (lockedFor[id], ownerOf[id]) = (amount, provider);
    }

    function unlock(bytes32 id) external {
        _misbehave();
        free[ownerOf[id]] += lockedFor[id];
        lockedFor[id] = 0;
    }

    function slash(bytes32 id, address to) external {
        _misbehave();
        uint256 amount = lockedFor[id];
        lockedFor[id] = 0;
        try token.transfer(to, amount) {}
        catch {
            owed[to] += amount;
        }
    }

    function _misbehave() private {
        require(failure != Failure.Revert, "broken");
        if (failure == Failure.BurnGas) {
            while (true) {}
        }
        if (gasToBurn != 0) {
            require(gasleft() > gasToBurn, "out of gas");
            uint256 end = gasleft() - gasToBurn;
            while (gasleft() > end) {}
        }
        if (_reenter != address(0)) {
            (reentered,) = _reenter.call(_reentry);
        }
    }
}
