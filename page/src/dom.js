/**
 * Elements made by calls. Text goes in by `textContent` only, so whatever a user named stays text.
 *
 *     h("p", { class: "note" }, "read by ", h("b", {}, name))
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {Element} element
 * @param {Record<string, any>} attributes names as in HTML; `on...` are listeners; false and null are left out
 * @param {(Node|string|number|null|false|undefined)[]} children
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

/** An HTML element. @returns {HTMLElement} */
export const h = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);

/** An SVG element. @returns {SVGElement} */
export const s = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

/** The element with this id, which page.html has. @returns {HTMLElement} */
export const byId = (id) => document.getElementById(id);

/** Whether a key event belongs to a field in which one types. */
export const isTyping = (event) =>
  event.target instanceof HTMLElement && event.target.matches("input:not([type=range]), textarea, select");

/** Whether a key event is the browser's or the system's. */
export const isModified = (event) => event.ctrlKey || event.metaKey || event.altKey;

/** Whether a key event is meant for the page. */
export const isCommand = (event) => !isTyping(event) && !isModified(event);
