// A panel that floats at a button: it closes with Escape, by a press beside it, and when the focus leaves it, and then
// gives the focus back. On a phone it lies at the lower edge (style.css).

const GAP_PX = 6;
const EDGE_PX = 8;

export class Popup {
  #panel;
  #button = null;
  #closed;

  /** closed(): it was closed, by whatever way. */
  constructor(panel, closed = () => {}) {
    this.#panel = panel;
    this.#closed = closed;
    panel.popover = "manual";
    panel.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.defaultPrevented) return;
      event.preventDefault();
      event.stopPropagation();
      this.close();
    });
    panel.addEventListener("focusout", ({ relatedTarget }) => {
      if (relatedTarget && !panel.contains(relatedTarget) && relatedTarget !== this.#button) this.close({ refocus: false });
    });
    document.addEventListener("pointerdown", ({ target }) => {
      if (this.isOpen && !panel.contains(target) && !this.#button.contains(target)) this.close({ refocus: false });
    });
    window.addEventListener("resize", () => this.isOpen && this.place());
  }

  get isOpen() {
    return this.#button !== null;
  }

  isAt(button) {
    return this.#button === button;
  }

  open(button) {
    this.#button = button;
    button.setAttribute("aria-expanded", "true");
    this.#panel.showPopover();
    this.place();
  }

  /** Below the button, or above it where there is more room; never over the edge of the window. */
  place() {
    const panel = this.#panel;
    const at = this.#button.getBoundingClientRect();
    panel.style.maxHeight = "";
    const { width, height } = panel.getBoundingClientRect();
    const below = innerHeight - at.bottom - GAP_PX - EDGE_PX;
    const above = at.top - GAP_PX - EDGE_PX;
    const goesUp = height > below && above > below;
    const room = Math.max(0, goesUp ? above : below);
    panel.style.maxHeight = `${room}px`;
    panel.style.top = `${goesUp ? at.top - GAP_PX - Math.min(height, room) : at.bottom + GAP_PX}px`;
    panel.style.left = `${Math.max(EDGE_PX, Math.min(at.right - width, innerWidth - width - EDGE_PX))}px`;
  }

  close({ refocus = true } = {}) {
    if (!this.isOpen) return;
    const button = this.#button;
    this.#button = null;
    button.setAttribute("aria-expanded", "false");
    this.#panel.hidePopover();
    if (refocus) button.focus();
    this.#closed();
  }
}
