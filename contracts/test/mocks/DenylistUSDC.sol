// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

import {TestUSDC} from "../../src/dev/TestUSDC.sol";

/// @title TestUSDC that can refuse an account, as USDC can; only minting still reaches it, so that tests can give it funds
contract DenylistUSDC is TestUSDC {
    mapping(address account => bool) public denied;

    error Denied(address account);

    constructor(address minter_) TestUSDC(minter_) {}

    function deny(address account, bool on) external {
        denied[account] = on;
    }

    function _update(address from, address to, uint256 value) internal override {
        if (denied[from]) revert Denied(from);
        if (denied[to] && from != address(0)) revert Denied(to);
        super._update(from, to, value);
    }
}
