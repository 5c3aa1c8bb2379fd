// All sliders, in one component: Gradio does some milliseconds of work for each of its own at every event.
// `value.bars` says what each row is; `sheet` has the thumbnails. What the visitor does goes to the server by
// `moves` (ui/page.py), read when a request is sent, so that a busy server gets the latest values only.
const list = element.querySelector(".bars");
const blank = element.querySelector("template").content.firstElementChild;
const page = window.sliders;
const rows = [];  // made once and used again; as many are in the list as there are directions
let shown = 0;
let grip = null;  // the row that the visitor holds or types into, and what it was then
let unsettled = false;  // only previews were asked for since the last move

const clamp = (value, { low, high }) => Math.min(Math.max(value, low), high);
const tidy = (value) => String(Number(value.toFixed(4)));
const share = (value, { low, high }) => `${(100 * (value - low)) / (high - low)}%`;

const put = (row, value) => {
  row.value = clamp(value, row.is);
  row.range.value = row.value;
  row.range.style.setProperty("--range_progress", share(row.value, row.is));
  if (!(grip?.typed && grip.row === row)) row.number.value = tidy(row.value);
};

// Tell the server: a preview will do while the slider is held, the full picture comes at its release.
const tell = () => {
  unsettled = page.held;
  if (!unsettled) {  // what Gradio shows when the tab is opened again, and compares with what the server sends
    props.value = { bars: rows.slice(0, shown).map((row) => ({ ...row.is, value: row.value })) };
  }
  trigger("input");
};
const move = (row, value) => { put(row, value); tell(); };
const settle = () => { if (unsettled && !page.held) tell(); };
page.moves = () => ({
  values: Object.fromEntries(rows.slice(0, shown).map((row) => [row.is.identity, row.value])),
  held: page.held,
  drawn: props.sheet?.rows || 0,  // thumbnails that are here already
});

// At once, not when the server answers: a request that a drag still has to send speaks of zeros, too.
page.zero = () => {
  unsettled = unsettled && page.held;
  for (const row of rows.slice(0, shown)) if (!(page.held && grip?.row === row)) put(row, 0);
};

const listen = (row) => {
  const { range, number } = row;
  const hold = () => { grip = { row, identity: row.is.identity }; };
  for (const name of ["pointerdown", "keydown"]) range.addEventListener(name, hold);
  range.addEventListener("input", () => {
    // another direction came under the finger: it is not what the visitor wants to move
    if (page.held && grip?.row === row && grip.identity !== row.is.identity) return put(row, row.value);
    const value = Number(range.value);
    move(row, Math.abs(value) < row.is.step / 2 ? 0 : value);  // steps are counted from the lower end
  });
  for (const name of ["pointerup", "change"]) range.addEventListener(name, settle);
  range.addEventListener("dblclick", () => move(row, 0));
  number.addEventListener("input", () => {
    grip = { row, identity: row.is.identity, typed: true };
    const { valueAsNumber: value } = number;
    if (value >= row.is.low && value <= row.is.high) move(row, value);  // others may become a number yet
  });
  number.addEventListener("change", () => {
    grip = null;
    const { valueAsNumber: value } = number;
    if (Number.isNaN(value) || clamp(value, row.is) === row.value) put(row, row.value);
    else move(row, value);
  });
  number.addEventListener("blur", () => { grip = null; put(row, row.value); });
  row.reset.addEventListener("click", () => move(row, 0));
  row.minus.addEventListener("click", () => move(row, -2));
  row.plus.addEventListener("click", () => move(row, 2));
};

const make = () => {
  const bar = blank.cloneNode(true);
  const row = { bar, value: 0, is: {} };
  const parts = {
    label: "label", number: "[type=number]", range: "[type=range]", reset: ".reset-button", low: ".min_value",
    high: ".max_value", purity: ".purity", mark: ".mark", minus: ".minus", plus: ".plus",
  };
  for (const [name, selector] of Object.entries(parts)) row[name] = bar.querySelector(selector);
  bar.id = `slider${rows.length}`;
  row.range.id = row.label.htmlFor = `range${rows.length}`;
  rows.push(row);
  listen(row);
};

// Names and notes come from files of researchers: text, never HTML.
const dress = (row, is, sheet) => {
  const same = row.is.identity === is.identity;
  row.is = is;
  row.bar.dataset.kind = is.kind;
  row.bar.title = is.note;
  row.label.textContent = is.label;
  row.low.textContent = tidy(is.low);
  row.high.textContent = tidy(is.high);
  for (const input of [row.range, row.number]) Object.assign(input, { min: is.low, max: is.high, step: is.step });
  row.number.setAttribute("aria-label", `${is.label}: value`);
  row.reset.setAttribute("aria-label", `Reset ${is.label}`);
  row.range.style.setProperty("--zero", share(clamp(0, is), is));
  const held = grip?.row === row && (page.held || grip.typed);
  if (!(same && held)) put(row, is.value);  // never move a slider under the visitor's finger
  row.purity.hidden = is.purity === null;
  if (is.purity !== null) {
    row.purity.title = `${Math.round(100 * is.purity)} % of what it changes is what its name says`;
    row.purity.setAttribute("aria-label", `Purity ${Math.round(100 * is.purity)} %`);
    row.purity.style.setProperty("--purity", is.purity);
  }
  row.mark.textContent = is.mark;
  for (const [thumb, end, column] of [[row.minus, "minus", 0], [row.plus, "plus", 100]]) {
    thumb.hidden = is.row >= sheet.rows;
    thumb.setAttribute("aria-label", `${is.label}: ${end} 2`);
    thumb.style.backgroundSize = `200% ${100 * sheet.rows}%`;
    thumb.style.backgroundPosition = `${column}% ${sheet.rows > 1 ? (100 * is.row) / (sheet.rows - 1) : 0}%`;
  }
};

const show = () => {
  const bars = props.value?.bars || [];
  const sheet = props.sheet || { url: "", rows: 0 };
  list.style.setProperty("--sheet", sheet.url ? `url(${sheet.url})` : "none");
  list.classList.toggle("illustrated", Boolean(sheet.url));
  while (rows.length < bars.length) make();
  bars.forEach((bar, place) => dress(rows[place], bar, sheet));
  for (; shown < bars.length; shown += 1) list.append(rows[shown].bar);
  for (; shown > bars.length; shown -= 1) rows[shown - 1].bar.remove();
};
watch(["value", "sheet"], show);
show();
