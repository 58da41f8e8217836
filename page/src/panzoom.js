/** Moving and scaling the picture: drag, wheel, pinch, buttons. The view is { x, y, scale }, in pixels. */

const SMALLEST = 0.02;
const LARGEST = 4;
const CLICK = 4; // pixels that a click may wander
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/**
 * @param {SVGSVGElement} svg
 * @param {(view: {x: number, y: number, scale: number}, isOwn: boolean) => void} apply told each view, and
 *   whether a hand or a button asked for it
 */
export function panZoom(svg, apply) {
  let view = { x: 0, y: 0, scale: 1 };
  let frame = 0;
  let moved = false;
  const pointers = new Map();

  function set(next, isOwn = false) {
    view = { ...next, scale: Math.min(LARGEST, Math.max(SMALLEST, next.scale)) };
    apply(view, isOwn);
  }
  const move = (next) => set(next, true);

  /** Goes to a view, in a quarter of a second. */
  function glide(target) {
    cancelAnimationFrame(frame);
    if (calm.matches || document.hidden) return set(target);
    const [from, start] = [view, performance.now()];
    const step = (now) => {
      const share = Math.min(1, (now - start) / 240);
      const eased = 1 - (1 - share) ** 3;
      set({
        x: from.x + (target.x - from.x) * eased,
        y: from.y + (target.y - from.y) * eased,
        scale: from.scale + (target.scale - from.scale) * eased,
      });
      if (share < 1) frame = requestAnimationFrame(step);
    };
    frame = requestAnimationFrame(step);
  }

  /** Scales about a point of the screen, which stays where it is. */
  function scaleAt(factor, x, y, go = move) {
    const scale = Math.min(LARGEST, Math.max(SMALLEST, view.scale * factor));
    const by = scale / view.scale;
    go({ x: x - (x - view.x) * by, y: y - (y - view.y) * by, scale });
  }

  const local = (event) => {
    const box = svg.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  svg.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      cancelAnimationFrame(frame);
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
      const pinch = event.ctrlKey ? 8 : 1; // browsers send a trackpad's pinch so
      if (event.shiftKey) move({ ...view, x: view.x - (event.deltaY || event.deltaX) * lines });
      else scaleAt(Math.exp((-event.deltaY * lines * pinch) / 700), ...local(event));
    },
    { passive: false },
  );

  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    cancelAnimationFrame(frame);
    if (!pointers.size) moved = false;
    pointers.set(event.pointerId, local(event));
  });
  svg.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = local(event);
    if (!moved && Math.hypot(now[0] - before[0], now[1] - before[1]) < CLICK) return;
    if (!moved) svg.setPointerCapture(event.pointerId);
    moved = true;
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    pointers.set(event.pointerId, now);
    if (!other) return move({ ...view, x: view.x + now[0] - before[0], y: view.y + now[1] - before[1] });
    const distance = ([x, y]) => Math.hypot(x - other[0], y - other[1]) || 1;
    scaleAt(distance(now) / distance(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
  });
  const lift = (event) => pointers.delete(event.pointerId);
  svg.addEventListener("pointerup", lift);
  svg.addEventListener("pointercancel", lift);
  // The click that ends a drag means no box.
  svg.addEventListener("click", (event) => moved && event.stopPropagation(), true);

  return {
    view: () => view,
    set,
    glide,
    zoom(factor) {
      move(view);
      scaleAt(factor, svg.clientWidth / 2, svg.clientHeight / 2, glide);
    },
  };
}
