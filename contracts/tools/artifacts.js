#!/usr/bin/env node
// Trims forge's output to {abi, bytecode, deployedBytecode} in artifacts/, which Rust reads and git keeps.
// Without arguments it only compares and names what differs; with --write it writes.
"use strict";
const fs = require("fs"), path = require("path");
const CONTRACTS = [
  "Anchor", "Channel", "Erc3009Collector", "Escrow", "Multicall3", "Panel", "Registry8004", "Stake", "TestUSDC",
];
const root = path.resolve(__dirname, "..");
const write = process.argv.includes("--write");

const stale = [];
for (const name of CONTRACTS) {
  const built = JSON.parse(fs.readFileSync(path.join(root, "out", `${name}.sol`, `${name}.json`), "utf8"));
  const trimmed = { abi: built.abi, bytecode: built.bytecode.object, deployedBytecode: built.deployedBytecode.object };
  const text = JSON.stringify(trimmed, null, 2) + "\n";
  const file = path.join(root, "artifacts", `${name}.json`);
  const kept = fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "";
  if (kept === text) continue;
  stale.push(`artifacts/${name}.json`);
  if (write) fs.writeFileSync(file, text);
}
if (write) {
  for (const file of stale) console.log(`wrote ${file}`);
} else if (stale.length > 0) {
  console.error(`differs from what the sources compile to: ${stale.join(", ")}`);
  process.exit(1);
}
