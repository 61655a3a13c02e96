// The samples of a step, or of all: what was pushed up, down or left out, and why it counts as wrong.
const GROUPS_A_PAGE = 8, SAMPLES_A_GROUP = 16, PREVIEW = 110;
const FILTERS = ["sign", "kind", "question", "text", "shortest", "longest", "order"];
let blocks = [];  // that are searched
let found = [];  // [{block, group, indices}]
let firstGroup = 0;
let asking = 0;  // number of the newest request: answers to older ones are dropped

const fileName = file => `${file.split === "train" ? "training" : "validation"} step ${file.step}`;
const fileKey = file => `${file.split} ${file.step}`;
const chosenRun = () => Number(byId("samples-run").value);

function chosenFile() {
  const key = byId("samples-file").value;
  return state.runs[chosenRun()].samples.find(file => fileKey(file) === key);
}

// The file nearest to the chosen step, of the split that is being looked at.
function nearestFile(run) {
  const split = (byId("samples-file").value || "train").split(" ")[0];
  const files = state.runs[run].samples, same = files.filter(file => file.split === split);
  return (same.length ? same : files).reduce((best, file) => !best || Math.abs(file.step - chosen) < Math.abs(best.step - chosen) ? file : best, null);
}

function showSampleFiles(follow) {
  options(byId("samples-run"), state.runs.map((_, number) => [number, runTitle(number)]));
  const run = chosenRun(), nearest = nearestFile(run);
  options(byId("samples-file"), state.runs[run].samples.map(file => [fileKey(file), fileName(file)]));
  if (follow && nearest) byId("samples-file").value = fileKey(nearest);
}

async function showSamples() {
  const number = ++asking, run = chosenRun(), scope = byId("scope").value, file = chosenFile();
  const note = byId("samples-note");
  if (!file) {
    blocks = [];
    note.textContent = `No samples of this run are recorded (trainer.samples_per_step).`;
    search();
    return;
  }
  const files = scope === "file" ? [file] : state.runs[run].samples.filter(one => one.split === scope);
  const loaded = [];
  let characters = 0;
  try {
    for (const one of files) {
      if (characters > MOST_CHARACTERS) break;
      if (files.length > 1 && loaded.length % 10 === 0) note.textContent = `loading ${loaded.length} of ${files.length} steps …`;
      const block = await load(run, one);
      if (number !== asking) return;
      loaded.push(block);
      characters += block.characters;
    }
  } catch (error) {
    if (number !== asking) return;
    note.textContent = `These samples cannot be shown: ${error.message}`;
    blocks = [];
    search();
    return;
  }
  blocks = loaded;
  note.replaceChildren(...noteLines(run, file, files, loaded).map(text => element("div", text)));
  search();
}

function noteLines(run, file, files, loaded) {
  const lines = [];
  if (files.length === 1) {
    const block = loaded[0], row = state.runs[run].row.steps.get(file.step), line = lineOf(state.runs[run], "kinds", "correct");
    const all = file.split === "train" && row !== undefined && line && line.of ? line.of[row] : null;
    lines.push(`${whole(block.n)} samples of ${whole(block.questions.length)} questions, ${fileName(file)}${all ? `; ${whole(all)} were sampled in this step` : ""}.`);
    if (file.step !== chosen) lines.push(`No samples of step ${chosen} are recorded here: these are the nearest.`);
  } else {
    const n = loaded.reduce((sum, block) => sum + block.n, 0);
    lines.push(`${whole(n)} samples of ${loaded.length} steps.`);
    if (loaded.length < files.length) lines.push(`Only steps up to ${loaded.at(-1).step} are searched: ${loaded.length} of ${files.length}; more does not fit into the page.`);
  }
  const shortened = loaded.reduce((sum, block) => sum + block.shortened.filter(Boolean).length, 0);
  if (shortened) lines.push(`${whole(shortened)} responses are shortened in their middle; the search sees what is left.`);
  return lines;
}

function filter() {
  const sign = SIGNS.findIndex(one => one.name === byId("sign").value), kind = byId("kind").value;
  return {
    sign, kind: kind === "" || kind === "incorrect" ? -1 : KINDS.indexOf(kind), incorrect: kind === "incorrect",
    question: byId("question").value.toLowerCase(), text: byId("text").value.toLowerCase(),
    shortest: Number(byId("shortest").value || 0), longest: Number(byId("longest").value || Infinity),
  };
}

// Whether each response of a block holds the text.
function holding(block, text) {
  const holds = new Uint8Array(block.n);
  for (let i = 0, at = block.text.indexOf(text); at >= 0; at = i < block.n ? block.text.indexOf(text, block.starts[i]) : -1) {
    while (i + 1 < block.n && block.starts[i + 1] <= at) i++;
    holds[i++] = 1;  // and on with the next response
  }
  return holds;
}

// Positions in a block of the samples that match.
function matching(block, wanted) {
  const asked = wanted.question ? block.questions.map((one, i) => block.asked[i].includes(wanted.question) || one.id.startsWith(wanted.question)) : null;
  const holds = wanted.text ? holding(block, wanted.text) : null;
  const indices = [];
  for (let i = 0; i < block.n; i++) {
    if (wanted.sign >= 0 && block.sign[i] !== wanted.sign) continue;
    if (wanted.kind >= 0 ? block.code[i] !== wanted.kind : wanted.incorrect && block.code[i] === 0) continue;
    if (block.tokens[i] < wanted.shortest || block.tokens[i] > wanted.longest) continue;
    if (asked && !asked[block.question[i]]) continue;
    if (holds && !holds[i]) continue;
    indices.push(i);
  }
  return indices;
}

function search() {
  const started = performance.now(), wanted = filter();
  const counts = new Array(SIGNS.length).fill(0);
  let all = 0, count = 0;
  found = [];
  for (const block of blocks) {
    all += block.n;
    const groups = new Map();
    for (const i of matching(block, wanted)) {
      counts[block.sign[i]]++;
      count++;
      const group = block.group[i];
      if (groups.has(group)) groups.get(group).push(i); else groups.set(group, [i]);
    }
    for (const [group, indices] of groups) found.push({block, group, indices});
  }
  sortGroups();
  firstGroup = 0;
  const signs = SIGNS.map((one, i) => counts[i] ? `${one.mark} ${one.text} ${whole(counts[i])}` : "").filter(Boolean);
  byId("samples-found").textContent = all ? `${share(count, all)} match${signs.length ? `: ${signs.join(" · ")}` : ""}` : "";
  showGroups();
  byId("samples-found").dataset.milliseconds = (performance.now() - started).toFixed(1);
}

function sortGroups() {
  const order = byId("order").value;
  if (order === "file") return;
  const key = {
    hard: ({block, group}) => solved(block, group),
    mixed: ({block, group}) => Math.abs(solved(block, group) - 0.5),
    long: ({block, indices}) => -indices.reduce((most, i) => Math.max(most, block.tokens[i]), 0),
  }[order];
  const keys = new Map(found.map(one => [one, key(one)]));
  found.sort((a, b) => keys.get(a) - keys.get(b));
}

function solved(block, group) {
  const members = block.members[group];
  return members.reduce((sum, i) => sum + (block.correct[i] ? 1 : 0), 0) / members.length;
}

function showGroups() {
  firstGroup = Math.max(0, Math.min(firstGroup, Math.floor((found.length - 1) / GROUPS_A_PAGE) * GROUPS_A_PAGE));
  const shown = found.slice(firstGroup, firstGroup + GROUPS_A_PAGE);
  byId("samples-list").replaceChildren(...shown.map(groupBox));
  byId("samples-where").textContent = found.length
    ? `questions ${whole(firstGroup + 1)} to ${whole(firstGroup + shown.length)} of ${whole(found.length)}` : blocks.length ? "nothing matches" : "";
}

function groupBox({block, group, indices}) {
  const members = block.members[group], question = block.questions[block.question[members[0]]];
  const right = members.filter(i => block.correct[i]).length;
  const box = element("article", undefined, "group");
  box.append(element("div", `question ${question.id} · ${fileName(block)} · gold ${question.gold || "none"} · ${right} of ${members.length} correct`, "meta"));
  box.append(element("p", question.text, "asked"));
  const strip = element("div", undefined, "strip");
  strip.setAttribute("aria-label", "signs of all samples of this question");
  for (const i of members) {
    const mark = element("span", SIGNS[block.sign[i]].mark, SIGNS[block.sign[i]].name);
    mark.title = `${SIGNS[block.sign[i]].text}, ${kindText(block.code[i])}`;
    strip.append(mark);
  }
  const through = button("through the steps", () => { showQuestion(block.run, question.id); byId("one-question").scrollIntoView(); });
  box.append(element("div", undefined, "beside", strip, through));
  const rest = indices.slice(SAMPLES_A_GROUP);
  box.append(...indices.slice(0, SAMPLES_A_GROUP).map(i => sampleBox(block, i)));
  if (rest.length) {
    const more = button(`${rest.length} more`, () => more.replaceWith(...rest.map(i => sampleBox(block, i))));
    box.append(more);
  }
  return box;
}

function sampleBox(block, i) {
  const sign = SIGNS[block.sign[i]], advantage = block.advantage[i];
  const push = advantage !== null && block.sign[i] <= DOWN ? ` ${signed(advantage, 2)}` : "";
  const box = element("details", undefined, `sample ${sign.name}`);
  const facts = [block.correct[i] ? "✓ correct" : `✗ ${kindText(block.code[i])}`, `extracted ${block.extracted[i] ?? "nothing"}`, `${whole(block.tokens[i])} tokens`];
  const text = block.answer[i].replace(/\s+/g, " ").trim();
  const preview = text.length > PREVIEW ? `…${text.slice(-PREVIEW)}` : text;  // the end, where the answer is
  box.append(element("summary", undefined, "", element("span", `${sign.mark} ${sign.text}${push}`, "badge"), ` ${facts.join(" · ")} · `, element("span", preview || "(empty)", "preview")));
  box.addEventListener("toggle", () => {  // long texts are laid out only when they are asked for
    if (!box.open || box.querySelector("pre")) return;
    const more = [`finish reason ${block.finish_reason[i]}`, `layer of the grader ${block.layer[i] ?? "not recorded"}`];
    more.push(`mean log-prob ${block.log_prob[i] === null ? "not computed" : figure(block.log_prob[i])}`);
    more.push(`mean entropy ${block.entropy[i] === null ? "not computed" : figure(block.entropy[i])}`);
    const answer = element("pre", block.answer[i]);
    answer.tabIndex = 0;
    box.append(answer, element("div", more.join(" · "), "meta"));
    if (block.shortened[i] && LIVE) box.append(button("the whole response", async event => {
      const whole = await fetch(`answer?run=${block.run}&split=${block.split}&step=${block.step}&sample=${i}`);
      answer.textContent = await whole.text();
      event.target.remove();
    }));
  });
  return box;
}

options(byId("sign"), [["", "all"], ...SIGNS.map(one => [one.name, `${one.mark} ${one.text}`])]);
options(byId("kind"), [["", "all"], ["correct", "correct"], ["incorrect", "incorrect, any"], ...KINDS.slice(1).map((kind, i) => [kind, kindText(i + 1)])]);
for (const id of FILTERS) byId(id).addEventListener("input", search);
byId("samples-run").addEventListener("change", () => { showSampleFiles(true); showSamples(); });
byId("samples-file").addEventListener("change", () => choose(chosenFile().step, false));
byId("scope").addEventListener("change", showSamples);
byId("samples-back").addEventListener("click", () => { firstGroup -= GROUPS_A_PAGE; showGroups(); });
byId("samples-on").addEventListener("click", () => { firstGroup += GROUPS_A_PAGE; showGroups(); });
