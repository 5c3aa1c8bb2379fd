// A square on the photograph: dragged, resized at its corner, by wheel, by the bar below it, or by keys.
const box = element.querySelector(".cropper");
const photo = element.querySelector(".photo");
const image = element.querySelector("img");
const square = element.querySelector(".square");
const bar = element.querySelector("input[type=range]");
let place = [0, 0, 1];  // left, top, side, all as shares of the width
let held = null;

const height = () => image.naturalHeight / image.naturalWidth || 1;
const clamp = (value, low, high) => Math.min(Math.max(value, low), Math.max(low, high));
const draw = () => {
  const [left, top, side] = place;
  Object.assign(square.style, {
    left: `${100 * left}%`, top: `${100 * top / height()}%`, width: `${100 * side}%`, height: `${100 * side / height()}%`,
  });
  bar.value = side / Math.min(1, height());
};
const put = (left, top, side) => {
  const largest = Math.min(1, height());
  side = clamp(side, 0.1 * largest, largest);
  place = [clamp(left, 0, 1 - side), clamp(top, 0, height() - side), side];
  draw();
};
const resize = (side) => {  // around its centre
  const [left, top, old] = place;
  side = clamp(side, 0.1 * Math.min(1, height()), Math.min(1, height()));
  put(left + (old - side) / 2, top + (old - side) / 2, side);
};
const tell = () => {
  props.value = { ...props.value, square: place };
  trigger("release");
};

photo.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  const { left, top, width } = photo.getBoundingClientRect();
  const [x, y] = [(event.clientX - left) / width, (event.clientY - top) / width];
  const corner = event.target.classList.contains("corner");
  if (!corner && !square.contains(event.target)) put(x - place[2] / 2, y - place[2] / 2, place[2]);
  held = { x, y, corner, place: [...place] };
  photo.setPointerCapture(event.pointerId);
  square.focus({ preventScroll: true });
  event.preventDefault();
});
photo.addEventListener("pointermove", (event) => {
  if (!held) return;
  const { left, top, width } = photo.getBoundingClientRect();
  const [dx, dy] = [(event.clientX - left) / width - held.x, (event.clientY - top) / width - held.y];
  const [x, y, side] = held.place;
  if (!held.corner) return put(x + dx, y + dy, side);
  put(x, y, Math.min(side + Math.max(dx, dy), 1 - x, height() - y));
});
for (const name of ["pointerup", "pointercancel"]) {
  photo.addEventListener(name, () => { if (held) { held = null; tell(); } });
}

let rolling = null;
photo.addEventListener("wheel", (event) => {
  event.preventDefault();
  resize(place[2] * (event.deltaY > 0 ? 1.06 : 0.94));
  clearTimeout(rolling);
  rolling = setTimeout(tell, 250);
}, { passive: false });

const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const SIZES = { "+": 1.06, "=": 1.06, "-": 0.94 };
square.addEventListener("keydown", (event) => {
  const [left, top, side] = place;
  if (MOVES[event.key]) put(left + 0.02 * MOVES[event.key][0], top + 0.02 * MOVES[event.key][1], side);
  else if (SIZES[event.key]) resize(side * SIZES[event.key]);
  else return;
  event.preventDefault();
});
square.addEventListener("keyup", (event) => { if (MOVES[event.key] || SIZES[event.key]) tell(); });
bar.addEventListener("input", () => resize(bar.value * Math.min(1, height())));
bar.addEventListener("change", tell);

const show = () => {
  const value = props.value || {};
  box.hidden = !value.src;
  if (!value.src) return image.removeAttribute("src");
  if (value.square) place = [...value.square];
  if (image.src !== value.src) image.src = value.src;
  image.alt = value.alt || "";
  draw();
};
image.addEventListener("load", draw);
watch("value", show);
show();
