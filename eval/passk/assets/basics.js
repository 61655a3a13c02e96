// What every part of the page uses. Whatever a model or a file said reaches the page through textContent only.
const byId = id => document.getElementById(id);

function element(tag, text, className, ...children) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = text;
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function button(text, action) {
  const made = element("button", text);
  made.addEventListener("click", action);
  return made;
}

function options(select, entries) {  // entries: [value, text]; keeps the choice where it still is one
  const chosen = select.value;
  select.replaceChildren(...entries.map(([value, text]) => {
    const made = element("option", text);
    made.value = value;
    return made;
  }));
  if (entries.some(([value]) => String(value) === chosen)) select.value = chosen;
}

function table(head, rows, words = 1) {  // the first `words` columns are text, the others figures
  const made = element("table", undefined, "plain");
  const line = (cells, tag) => element("tr", undefined, "", ...cells.map((cell, number) => {
    const box = element(number && tag === "td" ? "td" : "th", undefined, number < words ? "words" : "");
    box.append(cell instanceof Node ? cell : String(cell ?? ""));
    box.scope = tag === "th" ? "col" : "row";
    box.dataset.head = head[number];
    return box;
  }));
  made.append(element("thead", undefined, "", line(head, "th")), element("tbody", undefined, "", ...rows.map(cells => line(cells, "td"))));
  return made;
}

const whole = value => Math.round(value).toLocaleString("en");
const letter = run => String.fromCharCode(65 + run % 26) + (run < 26 ? "" : Math.floor(run / 26));

function figure(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return size >= 10000 ? whole(value) : size !== 0 && size < 0.001 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

const percent = value => value === null || value === undefined ? "–" : `${(100 * value).toFixed(1)} %`;
const share = (count, of) => of ? `${percent(count / of)} (${whole(count)} of ${whole(of)})` : "–";
const signed = (value, digits) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;

// 95 % interval of a share: Wilson 1927. It holds for few samples and for shares of 0 and 1.
function wilson(count, of) {
  if (!of) return [0, 1];
  const z = 1.96, p = count / of, scale = 1 + z * z / of;
  const middle = (p + z * z / (2 * of)) / scale, half = z * Math.sqrt(p * (1 - p) / of + z * z / (4 * of * of)) / scale;
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

// 95 % interval of a difference of two shares, later minus earlier: Newcombe 1998, method 10.
function newcombe(c1, n1, c2, n2) {
  const [l1, u1] = wilson(c1, n1), [l2, u2] = wilson(c2, n2), p1 = c1 / n1, p2 = c2 / n2, d = p2 - p1;
  return [d - Math.hypot(p2 - l2, u1 - p1), d + Math.hypot(u2 - p2, p1 - l1)];
}
