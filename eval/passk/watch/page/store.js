// The state of the runs, and their samples: asked of the server, or unpacked from the page.
const LIVE = document.documentElement.dataset.live === "true";
const MOST_CHARACTERS = 300e6;  // of the responses that the page holds at a time
let state = JSON.parse(byId("state").textContent);

const SIGNS = [
  {name: "up", mark: "▲", text: "pushed up"},
  {name: "down", mark: "▼", text: "pushed down"},
  {name: "zero", mark: "=", text: "kept, advantage 0"},
  {name: "out", mark: "○", text: "left out"},
  {name: "unknown", mark: "?", text: "kept, advantage not recorded"},
  {name: "validation", mark: "◇", text: "validation"},
];
const [UP, DOWN, ZERO, OUT, UNKNOWN, VALIDATION] = SIGNS.keys();
const KINDS = ["correct", ...state.kinds];
const kindText = code => KINDS[code].replaceAll("_", " ");

function signOf(split, kept, advantage) {
  if (split === "validation") return VALIDATION;
  if (!kept) return OUT;
  return advantage === null ? UNKNOWN : advantage > 0 ? UP : advantage < 0 ? DOWN : ZERO;
}

// A step's samples: lists, one entry a sample, and what the filters compare, worked out once.
function asBlock(run, split, step, columns) {
  const n = columns.answer.length;
  const block = {run, split, step, n, ...columns, sign: new Uint8Array(n), code: new Uint8Array(n)};
  for (let i = 0; i < n; i++) {
    block.sign[i] = signOf(split, columns.kept[i], columns.advantage[i]);
    block.code[i] = columns.kind[i] === null ? 0 : KINDS.indexOf(columns.kind[i]);
  }
  block.tokens = Int32Array.from(columns.tokens);
  // All responses in one text, with a character between them that no search holds: one search a block, not one a sample.
  const lower = columns.answer.map(text => text.toLowerCase());
  block.starts = new Uint32Array(n);
  for (let i = 1; i < n; i++) block.starts[i] = block.starts[i - 1] + lower[i - 1].length + 1;
  block.text = lower.join("\0");
  block.asked = columns.questions.map(question => question.text.toLowerCase());
  block.characters = columns.answer.reduce((sum, text) => sum + text.length, 0);
  block.members = Array.from({length: columns.groups}, () => []);
  columns.group.forEach((group, i) => block.members[group].push(i));
  return block;
}

const cache = new Map();  // key -> promise of a block; the oldest first
let held = 0;  // characters

function fileOf(run, split, step) {
  return state.runs[run].samples.find(file => file.split === split && file.step === step);
}

const keyOf = (run, file) => `${file.split}-${file.step}-${run} ${file.stamp}`;

function load(run, file) {
  const key = keyOf(run, file);
  if (!cache.has(key)) {
    const found = read(run, file).then(columns => asBlock(run, file.split, file.step, columns));
    cache.set(key, found);
    found.then(block => { held += block.characters; makeRoom(key); }, () => cache.delete(key));
  }
  return cache.get(key);
}

async function makeRoom(newest) {
  for (const [key, promise] of cache) {
    if (held <= MOST_CHARACTERS || key === newest) return;
    cache.delete(key);
    held -= (await promise).characters;
  }
}

async function read(run, file) {
  if (LIVE) {
    const answer = await fetch(`samples?run=${run}&split=${file.split}&step=${file.step}`);
    if (!answer.ok) throw new Error(await answer.text());
    return answer.json();
  }
  await pageIsThere;
  const packed = byId(`${file.split}-${file.step}-${run}`).textContent;
  const bytes = Uint8Array.from(atob(packed), character => character.charCodeAt(0));
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(unpacked).json();
}

const pageIsThere = document.readyState === "loading"
  ? new Promise(resolve => document.addEventListener("DOMContentLoaded", resolve)) : Promise.resolve();
