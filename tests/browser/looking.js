// Run in the page before something happens: looks after every change and in every frame, and keeps what there was to be seen.
() => {
  const seen = { words: [], views: [], docks: [], hints: [], answers: [], lengths: [], tops: [], notes: [] };
  const keep = (name, value) => seen[name].at(-1) !== value && seen[name].push(value);
  const text = (id) => document.getElementById(id).textContent;
  const look = () => {
    const answers = document.querySelectorAll("#items .said");
    keep("words", text("pill-word"));
    keep("views", document.body.dataset.view);
    keep("docks", text("dock") + text("warnings"));
    keep("hints", `${text("hint")} ${text("send")} ${document.getElementById("stop").hidden}`);
    keep("answers", answers.length);
    keep("lengths", [...answers].at(-1)?.querySelector(".parts").textContent.length ?? 0);
    keep("tops", document.getElementById("stream").scrollTop);
    keep("notes", [...document.querySelectorAll("#items .note, #items .meta .dot.off")].map((each) => each.parentElement.textContent).join());
  };
  const always = () => {
    look();
    requestAnimationFrame(always);
  };
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
  always();
  window.whatWasSeen = () => seen;
}
