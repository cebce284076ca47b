#!/usr/bin/env node
// Breaks one thing at a time in a contract's sources and looks whether a test notices. Not part of CI.
//
//   node tools/mutants.js Escrow|Channel [--op NAME] [--from N] [--sample N] [--list]
//
// Every mutant is compiled in this process, put in the place of the artifact in out/ that the tests deploy, and tried by
// the contract's tests until one fails. out/ is put back at the end. `forge build` has to be up to date. What was found
// is appended to cache/mutants-<contract>.jsonl, one line per mutant; a mutant that stands there is not tried again.
// The order is that of a hash over file, place and change, so a sample is the same on every machine.
"use strict";
const { createHash } = require("crypto");
const { execFile } = require("child_process");
const fs = require("fs"), path = require("path");
const solc = require("solc");

const TARGETS = {
  Escrow: {
    files: [
      "src/escrow/Disputes.sol", "src/escrow/Exits.sol", "src/escrow/Feedback.sol", "src/escrow/Funds.sol",
      "src/escrow/Ledger.sol", "src/escrow/Orders.sol", "src/libraries/Digests.sol", "src/libraries/OrderRules.sol",
      "src/libraries/Signatures.sol", "src/types/OrderState.sol",
    ],
    near: {
      Disputes: "dispute,counter,rule,deliver,finalize", Exits: "release,refund,split,verdict,releaseBatch",
      Feedback: "publishFeedback", Funds: "fund,fundRow,fundBatch", Ledger: "withdraw,fund,release,releaseBatch",
      Orders: "release,rule,statusOf,finalize", Digests: "digests,orderId", OrderRules: "fund,split,verdict,finalize",
      Signatures: "release,releaseBatch,fundRow,fundBatch", OrderState: "statusOf,publishFeedback,dispute,finalize",
    },
    tests: ["test/unit/{Escrow/*,Vectors.t.sol}", "test/usdc/*"],
  },
  Channel: {
    files: ["src/Channel.sol", "src/libraries/TokenTransfer.sol"],
    near: { Channel: "claim,claimAndSettle,deposit,refund,finalizeWithdraw", TokenTransfer: "claimAndSettle" },
    tests: ["test/unit/{Channel/*,Vectors.t.sol}", "test/usdc/Channel*"],
  },
};
const SECONDS = 900;

process.chdir(path.resolve(__dirname, ".."));
const [name, ...flags] = process.argv.slice(2);
const target = TARGETS[name];
if (!target) {
  console.error(`which contract? one of ${Object.keys(TARGETS).join(", ")}`);
  process.exit(1);
}
const number = (flag, otherwise) => (flags.includes(flag) ? Number(flags[flags.indexOf(flag) + 1]) : otherwise);
const artifact = `out/${name}.sol/${name}.json`;
const record = `cache/mutants-${name}.jsonl`;
const config = fs.readFileSync("foundry.toml", "utf8");
const remappings = JSON.parse(/^remappings = (\[.*\])$/m.exec(config)[1]);

// The compiler, the quick way: optimized, but not by way of its intermediate language. `changed` is {file, text}.
function compile(changed, outputSelection) {
  const read = (file) => (changed && changed.file === file ? changed.text : fs.readFileSync(file, "utf8"));
  const main = `src/${name}.sol`;
  const settings = {
    remappings, evmVersion: "cancun", optimizer: { enabled: true, runs: 1 },
    metadata: { bytecodeHash: "none", appendCBOR: false }, outputSelection,
  };
  const input = { language: "Solidity", sources: { [main]: { content: read(main) } }, settings };
  const find = (file) => (fs.existsSync(file) ? { contents: read(file) } : { error: "no such file" });
  return JSON.parse(solc.compile(JSON.stringify(input), { import: find }));
}

function bytecode(changed) {
  const out = compile(changed, { [`src/${name}.sol`]: { [name]: ["evm.bytecode.object", "evm.deployedBytecode.object"] } });
  const failed = (out.errors || []).find((e) => e.severity === "error");
  if (failed) return { error: failed.message };
  const { bytecode: creation, deployedBytecode: runtime } = out.contracts[`src/${name}.sol`][name].evm;
  return { creation: `0x${creation.object}`, runtime: `0x${runtime.object}` };
}

// What an operator becomes: the boundary moved, the sense turned round, or its nearest relative.
const BINARY = {
  "<": ["<=", ">="], "<=": ["<", ">"], ">": [">=", "<="], ">=": [">", "<"], "==": ["!="], "!=": ["=="],
  "+": ["-"], "-": ["+"], "*": ["/"], "/": ["*"], "%": ["*"], "&&": ["||"], "||": ["&&"], "&": ["|"], "|": ["&"],
  "^": ["&"], "<<": [">>"], ">>": ["<<"],
};
const ASSIGNED = { "+=": ["-=", "="], "-=": ["+=", "="], "|=": ["&=", "="], "&=": ["|=", "="] };
const YUL = { and: ["or"], or: ["and"], gt: ["lt"], lt: ["gt"], eq: ["lt"], add: ["sub"], sub: ["add"], shl: ["shr"], shr: ["shl"] };
const UNITS = { seconds: 1, minutes: 60, hours: 3600, days: 86400, weeks: 604800 };

// All changes in one file: {op, start, end, text}, in bytes.
function changes(file, ast, source) {
  const found = [];
  const at = (node) => node.src.split(":").map(Number);
  const slice = (from, to) => source.subarray(from, to).toString();
  const put = (op, node, text) => {
    const [start, length] = at(node);
    found.push({ op, start, end: start + length, text });
  };
  const words = (node) => slice(at(node)[0], at(node)[0] + at(node)[1]);
  const between = (op, left, right, was, now) => {
    const from = at(left)[0] + at(left)[1], to = at(right)[0];
    found.push({ op, start: from, end: to, text: slice(from, to).replace(was, () => now) });
  };
  // a statement goes with its semicolon, which alone would be none
  const gone = (node) => {
    const [start, length] = at(node);
    found.push({ op: "statement", start, end: source.indexOf(";", start + length) + 1, text: "{}" });
  };
  const literal = (node) => {
    const digits = node.value.replace(/_/g, "");
    if (!/^(0x[0-9a-fA-F]+|[0-9]+(e[0-9]+)?)$/.test(digits)) return;
    const unit = node.subdenomination ? ` ${node.subdenomination}` : "";
    const value = /e/.test(digits) && !/^0x/.test(digits) ? BigInt(Number(digits)) : BigInt(digits);
    const long = value * BigInt(UNITS[node.subdenomination] || 1) > 5000n && value > 1n;
    // a gas limit or a time is doubled and halved, anything else moved by one
    const values = long ? [value * 2n, value / 2n] : value === 0n ? [1n] : [value + 1n, value - 1n];
    const hex = /^0x/.test(digits) && digits.length >= 10;
    for (const v of hex ? [value ^ 1n] : values) {
      put("constant", node, hex ? `0x${v.toString(16).padStart(digits.length - 2, "0")}` : `${v}${unit}`);
    }
  };
  const visit = (node, parent) => {
    if (Array.isArray(node)) return node.forEach((n) => visit(n, parent));
    if (!node || typeof node !== "object") return;
    const t = node.nodeType;
    if (t === "BinaryOperation") {
      for (const op of BINARY[node.operator] || []) between("operator", node.leftExpression, node.rightExpression, node.operator, op);
      if (node.operator === "&&" || node.operator === "||") {
        put("condition", node, words(node.leftExpression));
        put("condition", node, words(node.rightExpression));
      }
    } else if (t === "Assignment") {
      for (const op of ASSIGNED[node.operator] || []) between("assignment", node.leftHandSide, node.rightHandSide, node.operator, op);
    } else if (t === "UnaryOperation") {
      const operand = words(node.subExpression);
      if (node.operator === "!" || node.operator === "~") put("operator", node, operand);
      if (node.operator === "++") put("operator", node, `${operand}--`);
    } else if (t === "Literal" && node.kind === "number") {
      literal(node);
    } else if (t === "Literal" && node.kind === "bool") {
      put("constant", node, node.value === "true" ? "false" : "true");
    } else if (t === "YulLiteral" && node.kind === "number") {
      literal(node);
    } else if (t === "ExpressionStatement" || t === "EmitStatement") {
      gone(node);
    } else if (t === "YulExpressionStatement" || t === "YulAssignment") {
      put("statement", node, "{}");
    } else if (t === "Return" && node.expression) {
      gone(node);
    } else if (t === "IfStatement") {
      const reverts = /^\{?\s*revert\b/.test(words(node.trueBody));
      put(reverts ? "revert" : "condition", node.condition, "false");
      if (!reverts) put("condition", node.condition, "true");
    } else if (t === "Conditional") {
      put("condition", node.condition, "true");
      put("condition", node.condition, "false");
    } else if (t === "ModifierInvocation" && node.kind === "modifierInvocation") {
      put("modifier", node, "");
    } else if (t === "YulFunctionCall") {
      for (const f of YUL[node.functionName.name] || []) put("operator", node.functionName, f);
      if (node.functionName.name === "iszero") {
        put("operator", node, words(node.arguments[0]));
      }
    }
    for (const key of Object.keys(node)) if (key !== "documentation") visit(node[key], node);
  };
  visit(ast.nodes, null);
  return found.map((c) => ({ ...c, file, was: slice(c.start, c.end) }));
}

function mutants() {
  const out = compile(null, { "*": { "": ["ast"] } });
  const all = new Map();
  for (const file of target.files) {
    const source = fs.readFileSync(file);
    for (const c of changes(file, out.sources[file].ast, source)) {
      const id = createHash("sha256").update(`${c.file}:${c.start}:${c.end}:${c.text}`).digest("hex").slice(0, 12);
      const text = Buffer.concat([source.subarray(0, c.start), Buffer.from(c.text), source.subarray(c.end)]).toString();
      const line = source.subarray(0, c.start).toString().split("\n").length;
      all.set(id, { id, line, mutated: text, ...c });
    }
  }
  return [...all.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

// Puts the code in the artifact's place and tries the tests, those nearest to the change first.
async function tried(built, code, file) {
  const copy = { ...built, bytecode: { ...built.bytecode, object: code.creation } };
  copy.deployedBytecode = { ...built.deployedBytecode, object: code.runtime };
  fs.writeFileSync(artifact, JSON.stringify(copy));
  const forge = `node_modules/@foundry-rs/forge-${process.platform === "darwin" ? "darwin" : "linux"}-${process.arch === "x64" ? "amd64" : "arm64"}/bin/forge`;
  const env = { ...process.env, NO_COLOR: "1", FOUNDRY_FUZZ_RUNS: "8" };
  const near = file ? [`test/unit/${name}/{${target.near[path.basename(file, ".sol")]}}.t.sol`] : [];
  for (const tests of [...near, ...target.tests]) {
    const args = ["test", "--fail-fast", "--match-path", tests];
    const limits = { env, timeout: SECONDS * 1000, killSignal: "SIGKILL", maxBuffer: 1 << 28 };
    const run = await new Promise((done) => {
      execFile(forge, args, limits, (error, stdout, stderr) => done({ error, said: stdout + stderr }));
    });
    if (!run.error) continue;
    if (run.error.killed) return { result: "killed", by: "time" };
    const by = /^\[FAIL[^\n]*\] (\w+)/m.exec(run.said);
    if (!by) throw new Error(`forge: ${run.said.slice(-500)}`);
    return { result: "killed", by: by[1] };
  }
  return { result: "survived" };
}

async function main() {
  const all = mutants();
  const from = number("--from", 0);
  const op = flags.includes("--op") ? flags[flags.indexOf("--op") + 1] : null;
  const chosen = all.filter((m) => !op || m.op === op).slice(from, from + number("--sample", all.length));
  const per = {};
  for (const m of all) per[m.op] = (per[m.op] || 0) + 1;
  console.log(`${all.length} mutants: ${JSON.stringify(per)}; ${chosen.length} chosen`);
  if (flags.includes("--list")) {
    for (const m of chosen) console.log(`${m.id} ${m.file}:${m.line} ${m.op}: ${m.was} -> ${m.text}`);
    return;
  }
  const kept = fs.readFileSync(artifact, "utf8");
  const built = JSON.parse(kept);
  const restore = () => fs.writeFileSync(artifact, kept);
  process.on("SIGINT", () => { restore(); process.exit(130); });
  process.on("SIGTERM", () => { restore(); process.exit(143); });
  const known = fs.existsSync(record) ? fs.readFileSync(record, "utf8").trim().split("\n").filter(Boolean).map((l) => JSON.parse(l).id) : [];
  const done = new Set(known);
  try {
    const whole = bytecode(null);
    if (!done.has("unbroken")) {
      const first = await tried(built, whole, null);
      if (first.result !== "survived") throw new Error(`the tests fail on unbroken code compiled the quick way: ${first.by}`);
      fs.appendFileSync(record, JSON.stringify({ id: "unbroken" }) + "\n");
    }
    for (const m of chosen) {
      if (done.has(m.id)) continue;
      const code = bytecode({ file: m.file, text: m.mutated });
      const found = code.error ? { result: "does not compile" }
        : code.runtime === whole.runtime && code.creation === whole.creation ? { result: "same code" }
        : await tried(built, code, m.file);
      const { mutated, ...row } = m;
      fs.appendFileSync(record, JSON.stringify({ ...row, ...found }) + "\n");
      console.log(`${found.result} ${found.by || ""} ${m.file}:${m.line} ${m.op}: ${m.was} -> ${m.text}`);
    }
  } finally {
    restore();
  }
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
