// Whether a slider is held, by pointer or by key: then a smaller picture, sooner, will do.
window.sliding = false;
const isBar = (target) => target instanceof HTMLInputElement && target.type === "range" && target.closest(".bar");
const release = () => { window.sliding = false; };

document.addEventListener("pointerdown", (event) => { if (isBar(event.target)) window.sliding = true; }, true);
for (const name of ["pointerup", "pointercancel"]) window.addEventListener(name, release, true);
window.addEventListener("blur", release);  // not captured: the blur of another slider is none of ours

// Gradio tells of a release only for pointers: a key that goes up is one as well.
const KEYS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End"];
document.addEventListener("keydown", (event) => {
  if (isBar(event.target) && KEYS.includes(event.key)) window.sliding = true;
}, true);
document.addEventListener("keyup", (event) => {
  if (!isBar(event.target) || !KEYS.includes(event.key)) return;
  release();
  event.target.dispatchEvent(new PointerEvent("pointerup", { bubbles: true }));
}, true);

// A double click puts one slider back to zero.
document.addEventListener("dblclick", (event) => {
  if (isBar(event.target)) event.target.closest(".bar").querySelector("button")?.click();
});

// The clipboard needs https or localhost; otherwise the text is selected for copying by hand.
window.copyLink = async (link) => {
  try {
    await navigator.clipboard.writeText(link);
    return "Copied";
  } catch {
    const field = document.querySelector("#link textarea, #link input");
    field?.focus();
    field?.select();
    return "Selected: copy it with Ctrl+C";
  }
};

// Where zero is on each track, for the filling in page.css.
window.addEventListener("picture", () => {
  for (const bar of document.querySelectorAll(".bar input[type=range]")) {
    bar.style.setProperty("--zero", `${(-100 * bar.min) / (bar.max - bar.min)}%`);
  }
});

// A mouse moves a slider 60 times a second and more; each move costs the page milliseconds that the picture needs.
(() => {
    const pause = 80; // milliseconds between two moves that the page is told of
    let told = 0, waiting = null, timer = null;
    const tell = () => {
        clearTimeout(timer);
        const bar = waiting;
        waiting = null;
        if (!bar) return;
        told = performance.now();
        const move = new Event("input", { bubbles: true });
        move.late = true;
        bar.dispatchEvent(move);
    };
    document.addEventListener("input", (event) => {
        if (event.late || !event.target.matches("#sliders input[type=range]")) return;
        const wait = told + pause - performance.now();
        if (waiting && waiting !== event.target) tell();
        if (wait <= 0) {
            clearTimeout(timer);
            waiting = null;
            told = performance.now();
            return;
        }
        event.stopImmediatePropagation();
        clearTimeout(timer);
        waiting = event.target;
        timer = setTimeout(tell, wait);
    }, true);
    // Whoever lets go must find the last value told.
    for (const end of ["pointerup", "change", "keyup"]) document.addEventListener(end, tell, true);
})();
