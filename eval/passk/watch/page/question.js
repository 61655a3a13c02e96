// One question through the steps: its solve rate, its final answers, and what was written then and now.
const MOST_ANSWERS = 12;
let followed = null;  // {run, id}

// What a sample says in the end: its extracted answer, or why there is none.
const finalAnswer = (block, i) => block.extracted[i] ?? `(${kindText(block.code[i])})`;

async function gather(run, id, tell) {
  const seen = [], files = state.runs[run].samples;
  for (const [number, file] of files.entries()) {
    if (number % 10 === 0) tell(`looking through ${number} of ${files.length} steps of ${runTitle(run)} …`);
    const block = await load(run, file);
    const at = block.questions.findIndex(question => question.id === id);
    if (at < 0) continue;
    const indices = [];
    block.question.forEach((question, i) => { if (question === at) indices.push(i); });
    seen.push({block, indices, right: indices.filter(i => block.correct[i]).length});
  }
  return seen;
}

async function showQuestion(run, id) {
  const request = followed = {run, id}, body = byId("one-question-body");
  const note = element("p", "", "meta");
  note.setAttribute("role", "status");
  body.replaceChildren(note);
  let all;
  try {
    all = [];
    for (const number of state.runs.keys()) all.push(await gather(number, id, text => { note.textContent = text; }));
  } catch (error) {
    note.textContent = `The samples cannot be read: ${error.message}`;
    return;
  }
  if (followed !== request) return;
  const first = all.flat()[0];
  const question = first.block.questions.find(one => one.id === id);
  note.textContent = `question ${id} · gold ${question.gold || "none"} · recorded ${all.flat().length === 1 ? "once" : `${all.flat().length} times`}`;
  body.append(element("p", question.text, "asked"));
  const chart = element("div", undefined, "chart");
  chart.setAttribute("role", "img");
  chart.setAttribute("aria-label", "solve rate by step: a chart; its figures are in the table that follows");
  body.append(element("h3", "Solve rate, with the 95 % interval of so many samples"), chart);
  solveRates(chart, all);
  for (const [number, seen] of all.entries()) if (seen.length) {
    const answers = element("div", undefined, "wide", answerTable(seen));
    body.append(element("h3", `Final answers of ${runTitle(number)}: samples that gave them`), answers);
    answers.scrollLeft = answers.scrollWidth;  // the newest steps
    body.append(thenAndNow(seen));
  }
}

function solveRates(box, all) {
  const lines = all.flatMap((seen, number) => ["train", "validation"].map((split, kind) => {
    const here = seen.filter(one => one.block.split === split);
    if (!here.length) return null;
    const intervals = here.map(one => wilson(one.right, one.indices.length));
    const line = {
      values: here.map(one => one.right / one.indices.length), count: here.map(one => one.right), of: here.map(one => one.indices.length), what: "samples",
      low: intervals.map(([low]) => low), high: intervals.map(([, high]) => high), spread: null,
    };
    const name = split === "train" ? "training" : "validation";
    return {run: state.runs[number], x: here.map(one => one.block.step), line, label: state.runs.length > 1 ? `${letter(number)} ${name}` : name,
      colour: colour(state.runs.length > 1 ? number : kind), dash: DASHES[kind]};
  })).filter(Boolean);
  const was = axis;
  axis = "steps";  // a validation stands at a step, not at an hour
  draw(box, "one-question", {unit: "share", events: false}, linePicture({unit: "share"}, lines), step => choose(step));
  axis = was;
}

function answerTable(seen) {
  const totals = new Map(), right = new Set();
  for (const {block, indices} of seen) for (const i of indices) {
    const answer = finalAnswer(block, i);
    totals.set(answer, (totals.get(answer) || 0) + 1);
    if (block.correct[i]) right.add(answer);
  }
  const answers = [...totals].sort((a, b) => b[1] - a[1]).map(([answer]) => answer);
  const count = ({block, indices}, wanted) => indices.filter(i => wanted.has(finalAnswer(block, i))).length;
  const rows = answers.slice(0, MOST_ANSWERS).map(answer => [`${right.has(answer) ? "✓" : "✗"} ${answer}`, ...seen.map(one => count(one, new Set([answer])) || "·")]);
  const rest = new Set(answers.slice(MOST_ANSWERS));
  if (rest.size) rows.push([`${rest.size} other answers`, ...seen.map(one => count(one, rest) || "·")]);
  rows.push(["samples", ...seen.map(one => one.indices.length)]);
  return table(["answer", ...seen.map(({block}) => `${block.split === "train" ? "" : "val "}${block.step}`)], rows);
}

function thenAndNow(seen) {
  const box = element("div", undefined, "two");
  for (const [name, at] of seen.length > 1 ? [["then", 0], ["now", seen.length - 1]] : [["what was written", 0]]) {
    const select = element("select"), list = element("div");
    options(select, seen.map(({block}, number) => [number, fileName(block)]));
    select.value = at;
    select.setAttribute("aria-label", name);
    const show = () => {
      const {block, indices} = seen[select.value];
      list.replaceChildren(...indices.map(i => sampleBox(block, i)));
    };
    select.addEventListener("change", show);
    show();
    box.append(element("div", undefined, "", element("h3", name), select, list));
  }
  return box;
}
