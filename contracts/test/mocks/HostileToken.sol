// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// @title A token that asks for no signature and can be told to misbehave in one way at a time
/// @dev A transfer with anything behind its two arguments is none to it.
contract HostileToken {
    enum Deposits {
        Honest,
        TakeAFee,
        BringNothing,
        BringTooMuch
    }
    enum Transfers {
        Honest,
        AnswerFalse,
        AnswerNothing,
        AnswerTwo,
        AnswerOneByte,
        Revert,
        RevertWithLongData,
        BurnGas
    }

    mapping(address account => uint256) public balanceOf;
    Deposits public deposits;
    Transfers public transfers;
    uint256 public gasToBurn;

    address public callTarget;
    bytes public callData;
    bool public callSucceeded;
    bytes public callAnswer;

    function mint(address to, uint256 value) external {
        balanceOf[to] += value;
    }

    function setDeposits(Deposits how) external {
        deposits = how;
    }

    function setTransfers(Transfers how) external {
        transfers = how;
    }

    function setGasToBurn(uint256 amount) external {
        transfers = Transfers.BurnGas;
        gasToBurn = amount;
    }

    /// @notice From now on every deposit and transfer also makes this call, and remembers what came of it.
    function setReentry(address target, bytes calldata data) external {
        callTarget = target;
        callData = data;
    }

    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256,
        uint256,
        bytes32,
        bytes calldata
    ) external {
        _reenter();
        balanceOf[from] -= value;
        if (deposits == Deposits.TakeAFee) value -= 1;
        if (deposits == Deposits.BringNothing) value = 0;
        if (deposits == Deposits.BringTooMuch) value += 1;
        balanceOf[to] += value;
    }

    function transfer(address to, uint256 value) external returns (bool) {
        require(msg.data.length == 68, "not a transfer");
        _reenter();
        if (transfers == Transfers.AnswerFalse) return false;
        if (transfers == Transfers.AnswerOneByte) _answer(1, 1);
        if (transfers == Transfers.AnswerTwo) _answer(2, 32);
        require(transfers != Transfers.Revert, "refused");
        if (transfers == Transfers.RevertWithLongData) {
            assembly {
                revert(0, 20000)
            }
        }
        if (transfers == Transfers.BurnGas) {
            // with too little it gives up at once, and leaves its caller the rest
            require(gasleft() > gasToBurn, "out of gas");
            uint256 end = gasleft() - gasToBurn;
            while (gasleft() > end) {}
        }
        balanceOf[msg.sender] -= value;
        balanceOf[to] += value;
        if (transfers == Transfers.AnswerNothing) _answer(0, 0);
        return true;
    }

    function _answer(uint256 word, uint256 length) private pure {
        assembly {
            mstore(0, word)
            return(0, length)
        }
    }

    function _reenter() private {
        if (callTarget == address(0)) return;
        (callSucceeded, callAnswer) = callTarget.call(callData);
    }
}
