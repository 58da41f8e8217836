/** Signs on buttons, as paths: fonts differ in whether they have them. */

import { s } from "./dom.js";

const PATHS = {
  play: "M4,2.5V13.5L13.5,8Z",
  pause: "M3.5,2.5H6.5V13.5H3.5ZM9.5,2.5H12.5V13.5H9.5Z",
  back: "M11,2.5V13.5L4,8Z",
  next: "M5,2.5V13.5L12,8Z",
  first: "M3,2.5H5V13.5H3ZM13,2.5V13.5L6,8Z",
  last: "M11,2.5H13V13.5H11ZM3,2.5V13.5L10,8Z",
};

/** @param {keyof PATHS} name */
export const icon = (name) =>
  s(
    "svg",
    { class: "icon", viewBox: "0 0 16 16", width: 12, height: 12, "aria-hidden": "true" },
    s("path", { d: PATHS[name] }),
  );
