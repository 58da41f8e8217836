/** What drawing on a canvas needs: its size in device pixels, and the colours of the style sheet. */

const SHARPEST = 3;
export const WORKER_COLOURS = 8; // then they repeat

/** Size a canvas for `width` × `height` CSS pixels; returns its cleared context, measured in CSS pixels. */
export function surfaceOf(canvas, width, height, density) {
  canvas.width = Math.round(width * density);
  canvas.height = Math.round(height * density);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(density, 0, 0, density, 0, 0);
  context.font = `500 10.5px ${getComputedStyle(canvas).fontFamily}`;
  context.textBaseline = "middle";
  return context;
}

/** Set lengths of an element's style, in pixels; returns it. */
export function place(element, lengths) {
  for (const [name, value] of Object.entries(lengths)) element.style[name] = `${value}px`;
  return element;
}

/** Device pixels for a CSS pixel; twice as many at least, for print. */
export const densityOf = () => Math.min(SHARPEST, Math.max(2, window.devicePixelRatio));

/** The colours in force at an element: light or dark, screen or print. */
export function coloursOf(element) {
  const style = getComputedStyle(element);
  const colour = (name) => style.getPropertyValue(name).trim();
  const numbered = (name, count) => Array.from({ length: count }, (_, index) => colour(`${name}-${index}`));
  return {
    workers: numbered("--worker", WORKER_COLOURS),
    phases: numbered("--phase-bar", 3),
    lane: colour("--lane"),
    hatch: colour("--hatch"),
    glow: colour("--glow"),
    critical: colour("--critical"),
    onBar: colour("--on-bar"),
    memory: colour("--memory"),
    memoryFill: colour("--memory-fill"),
  };
}

/** Call `redraw` when what an element's canvas is drawn from changes: size, theme, paper. */
export function whenAppearanceChanges(element, redraw) {
  new ResizeObserver(() => requestAnimationFrame(redraw)).observe(element);
  for (const query of ["(prefers-color-scheme: dark)", "print"]) {
    window.matchMedia(query).addEventListener("change", redraw);
  }
}
