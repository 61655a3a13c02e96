const data = JSON.parse(document.getElementById("data").textContent);
const PAGE = 10;
let first = 0;

for (const name of data.models) byId("model").append(element("option", name));
for (const name of data.outcomes) byId("outcome").append(element("option", name));
data.questions.forEach(question => { question.samples = []; });
data.samples.forEach(sample => data.questions[sample.q].samples.push(sample));

function rate(question) {
  const counts = Object.values(question.rates);
  return counts.reduce((sum, [right]) => sum + right, 0) / Math.max(1, counts.reduce((sum, [, all]) => sum + all, 0));
}

function matching(question) {
  const text = byId("text").value.toLowerCase();
  const asked = !text || question.text.toLowerCase().includes(text);
  return question.samples.filter(sample =>
    (!byId("outcome").value || sample.outcome === byId("outcome").value) &&
    (!byId("model").value || data.models[sample.m] === byId("model").value) &&
    (asked || sample.text.toLowerCase().includes(text)));
}

function card(question, samples) {
  const box = element("div", undefined, "question");
  const rates = Object.entries(question.rates).map(([name, [right, all]]) => `${name}: ${right} of ${all} right`);
  box.append(element("div", `question ${question.id} · gold answer ${question.gold} · ${rates.join(" · ")}`, "meta"));
  box.append(element("p", question.text));
  for (const sample of samples) {
    const details = element("details", undefined, sample.outcome.split(" ")[0]);
    const facts = [sample.outcome, data.models[sample.m], `generation ${sample.g}`, `answer ${sample.prediction ?? "none"}`];
    if (sample.tokens) facts.push(`${sample.tokens} tokens`);
    if (sample.error) facts.push(sample.error);
    details.append(element("summary", facts.join(" · ")));
    details.addEventListener("toggle", () => {  // long texts are laid out only when they are asked for
      if (details.open && !details.querySelector("pre")) details.append(element("pre", sample.text));
    });
    box.append(details);
  }
  return box;
}

function show() {
  const found = data.questions.map(question => [question, matching(question)]).filter(([, samples]) => samples.length);
  const order = byId("order").value;
  if (order !== "id") found.sort(([a], [b]) => (order === "hard" ? 1 : -1) * (rate(a) - rate(b)));
  first = Math.max(0, Math.min(first, Math.floor((found.length - 1) / PAGE) * PAGE));
  const shown = found.slice(first, first + PAGE);
  byId("list").replaceChildren(...shown.map(([question, samples]) => card(question, samples)));
  const count = found.reduce((sum, [, samples]) => sum + samples.length, 0);
  byId("where").textContent = found.length
    ? `questions ${whole(first + 1)} to ${whole(first + shown.length)} of ${whole(found.length)}, ${whole(count)} of ${whole(data.samples.length)} responses` : "nothing matches";
}

for (const id of ["outcome", "model", "text", "order"]) byId(id).addEventListener("input", () => { first = 0; show(); });
byId("previous").addEventListener("click", () => { first -= PAGE; show(); });
byId("next").addEventListener("click", () => { first += PAGE; show(); });
show();
