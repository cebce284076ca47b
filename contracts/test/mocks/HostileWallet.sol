// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity 0.8.37;

/// @title A contract wallet that answers yes to every signature, in the way it was told
contract HostileWallet {
    enum Answers {
        Yes,
        Short,
        Dirty,
        Long,
        Revert,
        BurnAll
    }

    Answers public answers;
    uint256 public gasToBurn;

    function set(Answers how) external {
        answers = how;
    }

    function burn(uint256 amount) external {
        gasToBurn = amount;
    }

    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        if (gasToBurn != 0) {
            require(gasleft() > gasToBurn, "out of gas");
            uint256 end = gasleft() - gasToBurn;
            while (gasleft() > end) {}
        }
        if (answers == Answers.BurnAll) {
            while (true) {}
        }
        require(answers != Answers.Revert, "refused");
        uint256 length = answers == Answers.Short ? 31 : answers == Answers.Long ? 20_000 : 32;
        bytes32 word = bytes32(bytes4(0x1626ba7e)) | (answers == Answers.Dirty ? bytes32(uint256(1)) : bytes32(0));
        assembly {
            mstore(0, word)
            return(0, length)
        }
    }
}
