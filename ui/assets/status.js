const line = element.querySelector(".status");
const text = element.querySelector(".text");
const bar = element.querySelector("progress");

const show = () => {
  const value = props.value || {};
  line.dataset.kind = value.kind || "plain";
  text.textContent = value.text || "";
  const known = typeof value.progress === "number";
  bar.hidden = !known;
  if (known) { bar.value = value.progress; bar.textContent = `${Math.round(100 * value.progress)} %`; }
};
watch("value", show);
show();
