// Tables that scroll can be reached by the keyboard, and each block's buttons have a name of their own.
const reachable = () => {
  document.querySelectorAll(".md-typeset__scrollwrap").forEach((table) => (table.tabIndex = 0));
  document.querySelectorAll(".md-code__nav").forEach((nav, i) => nav.setAttribute("aria-label", `Code ${i + 1}`));
};
new MutationObserver(reachable).observe(document.body, { childList: true, subtree: true });
reachable();
