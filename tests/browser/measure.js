// Run in the page: what scrolls sideways, how every visible text stands out from its ground, how big targets are.
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = ([red, green, blue, alpha], ground) =>
    [red, green, blue].map((value, index) => value * alpha + ground[index] * (1 - alpha)).concat(1);
  const linear = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);

  // From the root down to the element: grounds laid over each other, opacity of a group applied to both layers.
  const contrastOf = (element, color) => {
    const path = [];
    for (let at = element; at; at = at.parentElement) path.unshift(at);
    let ground = [255, 255, 255, 1];
    let opacity = 1;
    for (const each of path) {
      const style = getComputedStyle(each);
      opacity *= Number(style.opacity);
      const [red, green, blue, alpha] = rgba(style.backgroundColor);
      ground = over([red, green, blue, alpha * opacity], ground);
    }
    const [red, green, blue, alpha] = rgba(color);
    const lights = [luminance(over([red, green, blue, alpha * opacity], ground)), luminance(ground)];
    return (Math.max(...lights) + 0.05) / (Math.min(...lights) + 0.05);
  };

  const isShown = (element) => {
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) return false;
    const box = element.getBoundingClientRect();
    return box.width > 1 && box.height > 1 && box.right > 0 && box.left < innerWidth && box.bottom > 0;
  };
  const isOff = (element) => Boolean(element.closest(":disabled, [aria-disabled=true]"));

  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const text = node.data.trim();
    const element = node.parentElement;
    if (!text || isOff(element) || !isShown(element)) continue;
    texts.push({ text: text.slice(0, 40), contrast: contrastOf(element, getComputedStyle(element).color) });
  }
  for (const field of document.querySelectorAll("input, textarea")) {
    if (!isShown(field) || isOff(field)) continue;
    const color = getComputedStyle(field, field.value ? undefined : "::placeholder").color;
    texts.push({ text: field.value || field.placeholder, contrast: contrastOf(field, color) });
  }

  const sideways = [document.scrollingElement, document.querySelector("[role=log]")]
    .filter((element) => element.scrollWidth > element.clientWidth)
    .map((element) => `${element.localName}: ${element.scrollWidth} > ${element.clientWidth}`);
  const targets = [...document.querySelectorAll("button, summary, nav a")]
    .filter(isShown)
    .map((element) => ({ element, box: element.getBoundingClientRect() }))
    .map(({ element, box }) => ({
      name: element.getAttribute("aria-label") ?? element.textContent.trim(),
      width: Math.round(box.width),
      height: Math.round(box.height),
    }));
  return { texts, sideways, targets, background: luminance(rgba(getComputedStyle(document.body).backgroundColor)) };
}
