// Which answers became more or less probable between two steps: by their share of the question's samples, or by the log-probability
// that the policy gave to the very same response.
const MOST_CHANGES = 40;

function showChangeChoices() {
  options(byId("changes-run"), state.runs.map((_, number) => [number, runTitle(number)]));
  const files = state.runs[Number(byId("changes-run").value)].samples;
  const split = byId("changes-split"), of = name => files.filter(file => file.split === name);
  if (of(split.value).length < 2 && !split.dataset.touched) split.value = of("validation").length > 1 ? "validation" : "train";
  const steps = of(split.value).map(file => [file.step, String(file.step)]);
  const [from, to] = [byId("changes-from"), byId("changes-to")], fresh = !to.options.length || to.dataset.touched === undefined;
  options(from, steps);
  options(to, steps);
  if (fresh && steps.length) to.value = steps.at(-1)[0];
  byId("changes-note").textContent = steps.length > 1 ? "" : "Two steps with samples are needed.";
  byId("changes-go").disabled = steps.length < 2;
}

async function showChanges() {
  const run = Number(byId("changes-run").value), split = byId("changes-split").value, by = byId("changes-by").value;
  const [from, to] = [byId("changes-from"), byId("changes-to")].map(select => fileOf(run, split, Number(select.value)));
  const note = byId("changes-note"), place = byId("changes-table");
  place.replaceChildren();
  let before, after;
  try {
    [before, after] = [await load(run, from), await load(run, to)];
  } catch (error) {
    note.textContent = `The samples cannot be read: ${error.message}`;
    return;
  }
  const both = before.questions.filter(one => after.questions.some(other => other.id === one.id));
  const counts = `${whole(both.length)} questions were asked at both steps, ${whole(before.questions.length)} at step ${from.step} and ${whole(after.questions.length)} at step ${to.step}.`;
  if (!both.length) {
    note.textContent = `${counts} Validation asks the same questions every time (trainer.test_freq).`;
    return;
  }
  const rows = by === "share" ? changedShares(before, after) : changedLogProbs(before, after);
  if (!rows.length) {
    note.textContent = `${counts} ${by === "share" ? "" : "No response with a log-probability was written at both."}`;
    return;
  }
  rows.sort((a, b) => Math.abs(b.change) - Math.abs(a.change));
  note.textContent = `${counts} ${whole(rows.length)} answers, of which the ${Math.min(MOST_CHANGES, rows.length)} that changed most are here. `
    + (by === "share" ? "In brackets the 95 % interval of each change by itself: where it holds 0, so few samples do not tell the two steps apart; of many answers, some change by chance."
      : "Log-probability of the whole response under the policy that wrote it, at the sampling temperature.");
  const made = table(["question", "answer", `step ${from.step}`, `step ${to.step}`, "change", ""], rows.slice(0, MOST_CHANGES).map(row => [
    row.question.text, `${row.right ? "✓" : "✗"} ${row.answer}`, row.before, row.after, `${row.change > 0 ? "▲" : row.change < 0 ? "▼" : "="} ${row.text}`,
    button("through the steps", () => { showQuestion(run, row.question.id); byId("one-question").scrollIntoView(); })]), 2);
  made.classList.add("stack");
  place.append(made);
}

function perQuestion(block, keyOf) {  // question id -> {n, answers: key -> [positions]}
  const found = new Map();
  for (let i = 0; i < block.n; i++) {
    const id = block.questions[block.question[i]].id, key = keyOf(i);
    if (!found.has(id)) found.set(id, {n: 0, answers: new Map()});
    const one = found.get(id);
    one.n++;
    if (one.answers.has(key)) one.answers.get(key).push(i); else one.answers.set(key, [i]);
  }
  return found;
}

function changedShares(before, after) {
  const [old, fresh] = [before, after].map(block => perQuestion(block, i => finalAnswer(block, i)));
  const rows = [];
  for (const question of before.questions) {
    const [was, is] = [old.get(question.id), fresh.get(question.id)];
    if (!is) continue;
    for (const answer of new Set([...was.answers.keys(), ...is.answers.keys()])) {
      const [a, b] = [was, is].map(one => one.answers.get(answer) || []);
      const [low, high] = newcombe(a.length, was.n, b.length, is.n), change = b.length / is.n - a.length / was.n;
      rows.push({
        question, answer, right: a.some(i => before.correct[i]) || b.some(i => after.correct[i]), before: `${a.length} of ${was.n}`, after: `${b.length} of ${is.n}`, change,
        text: `${signed(100 * change, 1)} points [${signed(100 * low, 0)}, ${signed(100 * high, 0)}]`,
      });
    }
  }
  return rows;
}

function changedLogProbs(before, after) {
  const [old, fresh] = [before, after].map(block => perQuestion(block, i => block.answer[i]));
  const sum = (block, i) => block.log_prob[i] === null ? null : block.log_prob[i] * block.tokens[i];
  const rows = [];
  for (const question of before.questions) {
    const [was, is] = [old.get(question.id), fresh.get(question.id)];
    if (!is) continue;
    for (const [answer, places] of was.answers) {
      const a = sum(before, places[0]), there = is.answers.get(answer), b = there ? sum(after, there[0]) : null;
      if (a === null || b === null) continue;
      rows.push({question, answer, right: before.correct[places[0]], before: figure(a), after: figure(b), change: b - a, text: `${signed(b - a, 2)} nats`});
    }
  }
  return rows;
}

byId("changes-run").addEventListener("change", showChangeChoices);
byId("changes-split").addEventListener("change", event => { event.target.dataset.touched = ""; showChangeChoices(); });
byId("changes-to").addEventListener("change", event => { event.target.dataset.touched = ""; });
byId("changes-go").addEventListener("click", showChanges);
