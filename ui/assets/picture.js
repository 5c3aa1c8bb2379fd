// One figure. The template never changes, so the <img> stays and its pictures follow each other without a flash.
const figure = element.querySelector("figure");
const shown = element.querySelector(".shown");
const note = element.querySelector(".note");

const show = () => {
  const value = props.value || {};
  figure.classList.toggle("empty", !value.src);
  if (value.src) shown.src = value.src;
  else shown.removeAttribute("src");
  figure.dataset.of = value.of || "crop";
  shown.alt = value.alt || "";
  note.textContent = value.note || "";
  window.dispatchEvent(new CustomEvent("picture"));
};
watch("value", show);
show();

// Only the figure of the edit can compare.
const before = element.querySelector(".before");
if (before) {
  const buttons = [...element.querySelectorAll("[data-view]")];
  const divider = element.querySelector(".divider");
  const other = (name) => {
    const theirs = document.querySelector(`#${name} figure`);
    const same = theirs?.dataset.of === figure.dataset.of;  // a face does not lie on a whole photograph
    return (same && theirs.querySelector(".shown")?.getAttribute("src")) || "";
  };
  const follow = () => {
    const view = figure.dataset.view || "edited";
    const usable = view === "edited" || other(view);
    const now = usable ? view : "edited";
    figure.dataset.view = now;
    for (const button of buttons) {
      const name = button.dataset.view;
      button.setAttribute("aria-pressed", String(name === now));
      button.disabled = name !== "edited" && !other(name);
    }
    if (now !== "edited" && before.getAttribute("src") !== other(now)) before.src = other(now);
  };
  for (const button of buttons) {
    button.addEventListener("click", () => { figure.dataset.view = button.dataset.view; follow(); });
  }
  divider.addEventListener("input", () => figure.style.setProperty("--at", `${divider.value}%`));
  window.addEventListener("picture", follow);
  follow();
}
