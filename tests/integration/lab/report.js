/* Run in the page: what is wrong with it as it is laid out, WIDTH wide, DARK or light; "" when nothing is. */
((WIDTH, DARK) => {
  const wrong = [];
  const expect = (holds, what) => { if (!holds && wrong.length < 8) wrong.push(what); };
  const box = e => e.getBoundingClientRect();
  const seen = e => e.checkVisibility({ visibilityProperty: true }) && box(e).width > 0;
  const name = e => (e.className || e.tagName) + " " + JSON.stringify((e.getAttribute("aria-label") || e.textContent).slice(0, 30));
  document.querySelector("details").open = true;

  expect(innerWidth === WIDTH, "the window is " + innerWidth + " wide");
  expect(matchMedia("(prefers-color-scheme: dark)").matches === DARK, "not the colours that were wanted");
  expect(document.scrollingElement.scrollWidth <= innerWidth, "wider than the window: " + document.scrollingElement.scrollWidth);
  expect(window.hostile === undefined, "text of the record ran as a program");
  expect(!document.querySelector("[src], link, [href]") && performance.getEntriesByType("resource").length === 0, "it loads another file");
  expect(document.images.length === 0 && document.scripts.length === 1, "text of the record became elements");

  const bars = [...document.querySelectorAll(".bar")];
  expect(bars.length > 100, "only " + bars.length + " bars");
  for (const lane of document.querySelectorAll(".lane")) {
    const inside = [...lane.querySelectorAll(".bar")].sort((a, b) => box(a).left - box(b).left);
    inside.forEach((b, i) => {
      expect(i === 0 || box(b).left >= box(inside[i - 1]).right - 2.5, "bars overlap: " + name(b));
      expect(box(b).left >= box(lane).left - 1 && box(b).right <= box(lane).right + 3, "out of its lane: " + name(b));
    });
  }

  const texts = [...document.querySelectorAll("h1, h2, h3, p, .figures li, .legend li, .row > b, .axis span, .label > span, th, td, summary")]
    .filter(e => seen(e) && e.textContent.trim() !== "");
  expect(texts.some(e => e.matches(".label > span")), "no bar has a label");
  for (let i = 0; i < texts.length; i++) for (let j = i + 1; j < texts.length; j++) {
    const a = box(texts[i]), b = box(texts[j]);
    if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1)
      expect(texts[i].contains(texts[j]) || texts[j].contains(texts[i]), name(texts[i]) + " overlaps " + name(texts[j]));
  }
  for (const e of texts)
    expect(e.closest(".scroll") || (box(e).left >= -1 && box(e).right <= innerWidth + 1), "out of the window: " + name(e));

  /* WCAG 2.1, 1.4.3 */
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = colour => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return canvas.getImageData(0, 0, 1, 1).data; };
  const light = c => [0.2126, 0.7152, 0.0722].reduce((sum, w, i) => {
    const v = c[i] / 255; return sum + w * (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); }, 0);
  const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] > 250) return c; } return [255, 255, 255]; };
  for (const e of texts) {
    const pair = [light(rgb(getComputedStyle(e).color)), light(behind(e))].sort((a, b) => b - a);
    expect((pair[0] + 0.05) / (pair[1] + 0.05) >= 4.5, "hard to read: " + name(e));
  }

  const first = bars.find(b => b.parentElement.children.length > 2);
  first.scrollIntoView();
  first.focus();
  const press = key => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  press("ArrowRight");
  expect(document.activeElement === first.nextElementSibling, "the right arrow does not go to the next bar");
  const tip = getComputedStyle(document.activeElement, "::after");
  expect(tip.content.includes("takes") && tip.position === "fixed", "the bar in focus does not tell its times");
  press("ArrowDown");
  expect(document.activeElement.parentElement !== first.parentElement, "the down arrow does not leave the lane");
  for (const lane of document.querySelectorAll(".lane"))
    expect(lane.children.length === 0 || lane.querySelectorAll('[tabindex="0"]').length === 1, "a lane is not one tab stop");
  return wrong.join("; ");
})
