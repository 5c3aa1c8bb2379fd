// What ui/page.py asks of the sliders; assets/sliders.js adds `moves` and `zero`. `held`: by pointer or by key,
// then a smaller picture, sooner, will do.
window.sliders = { held: false };
const isBar = (target) => target instanceof HTMLInputElement && target.type === "range" && target.closest(".bar");
const release = () => { window.sliders.held = false; };

document.addEventListener("pointerdown", (event) => { if (isBar(event.target)) window.sliders.held = true; }, true);
for (const name of ["pointerup", "pointercancel"]) window.addEventListener(name, release, true);
window.addEventListener("blur", release);  // not captured: the blur of another slider is none of ours

// assets/sliders.js waits for a pointer to go up: a key that goes up is a release as well.
const KEYS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End"];
document.addEventListener("keydown", (event) => {
  if (isBar(event.target) && KEYS.includes(event.key)) window.sliders.held = true;
}, true);
document.addEventListener("keyup", (event) => {
  if (!isBar(event.target) || !KEYS.includes(event.key)) return;
  release();
  event.target.dispatchEvent(new PointerEvent("pointerup", { bubbles: true }));
}, true);

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
