// Beside each slider: how pure its direction is, what it does at either end, and whether it is worth trying.
const dress = () => {
  const { cards = [], sheet = "", rows = 0 } = props.value || {};
  const all = document.querySelector("#sliders");
  if (!all) return;
  all.style.setProperty("--sheet", sheet ? `url(${sheet})` : "none");
  all.classList.toggle("illustrated", Boolean(sheet));
  cards.forEach((card, place) => {
    const bar = document.querySelector(`#slider${place}`);
    if (!bar) return;
    const words = JSON.stringify([card, rows, Boolean(sheet)]);
    let added = bar.querySelector(":scope > .card");
    if (added?.dataset.words === words) return;
    added?.remove();
    added = document.createElement("div");
    added.className = "card";
    added.dataset.words = words;
    bar.dataset.kind = card.kind;
    bar.title = card.note || "";
    if (card.purity !== null) {
      const purity = document.createElement("span");
      purity.className = "purity";
      purity.setAttribute("role", "img");
      purity.title = `${Math.round(100 * card.purity)} % of what it changes is what its name says`;
      purity.setAttribute("aria-label", `Purity ${Math.round(100 * card.purity)} %`);
      purity.style.setProperty("--purity", card.purity);
      added.append(purity);
    }
    if (card.mark) {
      const mark = document.createElement("span");
      mark.className = "mark";
      mark.textContent = card.mark;
      added.append(mark);
    }
    if (sheet && card.row < rows) {
      for (const [end, sign] of [["minus", -1], ["plus", 1]]) {
        const thumb = document.createElement("button");
        thumb.type = "button";
        thumb.className = `thumb ${end}`;
        thumb.setAttribute("aria-label", `${card.label}: ${end} 2`);
        thumb.style.backgroundSize = `200% ${100 * rows}%`;
        thumb.style.backgroundPosition = `${end === "plus" ? 100 : 0}% ${rows > 1 ? 100 * card.row / (rows - 1) : 0}%`;
        thumb.addEventListener("click", () => set(bar, 2 * sign));
        added.append(thumb);
      }
    }
    bar.append(added);
  });
};

// As if the visitor had dragged the slider there.
const set = (bar, value) => {
  const range = bar.querySelector("input[type=range]");
  range.value = Math.min(Math.max(value, Number(range.min)), Number(range.max));
  range.dispatchEvent(new Event("input", { bubbles: true }));
  range.dispatchEvent(new PointerEvent("pointerup", { bubbles: true }));
};

watch("value", dress);
// Gradio makes a slider anew when it becomes visible again.
let waiting = false;
const later = () => {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; dress(); });
};
new MutationObserver((changes) => {
  const ours = (node) => node.nodeType === 1 && (node.classList.contains("card") || node.closest?.(".card"));
  if (changes.some((change) => [...change.addedNodes].some((node) => !ours(node)))) later();
}).observe(document.querySelector("#controls") || document.body, { childList: true, subtree: true });
dress();
