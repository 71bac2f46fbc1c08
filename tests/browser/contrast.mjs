// Texts that are hard to read: those whose contrast with what is behind them is below WCAG 2.1's level AA, 4.5:1, or
// 3:1 for large ones. An expression for the page; its value is a list of lines.
export const faintTexts = `(() => {
  const colour = (text) => {
    const numbers = text.match(/[\\d.]+/g).map(Number), scale = text.startsWith("color(") ? 255 : 1;
    return [...numbers.slice(0, 3).map((n) => n * scale), numbers.length > 3 ? numbers[3] : 1];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const luminance = (of) => {
    const [r, g, b] = of.slice(0, 3).map((v) => v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(colour(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const found = new Map();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.data.trim(), element = texts.currentNode.parentElement;
    if (!text || !element.checkVisibility() || element.closest("script,style,:disabled,.hidden")) continue;
    const style = getComputedStyle(element), ground = behind(element), shown = colour(style.color);
    for (let at = element; at; at = at.parentElement) shown[3] *= Number(getComputedStyle(at).opacity);
    const [light, dark] = [luminance(over(shown, ground)), luminance(ground)].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05), px = parseFloat(style.fontSize);
    const large = px >= 24 || (px >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5))
      found.set(element.tagName + "." + element.className, ratio.toFixed(2) + " " + element.tagName + "." + element.className + ": " + text.slice(0, 30));
  }
  return [...found.values()];
})()`;
