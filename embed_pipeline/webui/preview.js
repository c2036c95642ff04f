// The preview page: some documents as a run reads and cuts them. Text of documents is only ever set as text.
(() => {
  const here = "/embed_pipeline/preview";
  const { byId, call, complain, greet, make, many, number, say, visible, waiting } = shared;
  const EXAMPLE = 200; // characters at which an example of what was left out is cut
  let asked = 0;

  const own = (text, about = {}) => make("bdi", { ...about, textContent: visible(text) }); // its direction stays inside
  const short = (text, most = 120) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
  const percent = (share) => (share > 0.99 && share < 1 ? "Over 99" : (100 * share).toFixed(0));

  // -- a document

  const losses = (shown) => shown.dropped.length ? [make("h3", { textContent: "Left out or replaced" }), make("ul", { className: "losses" },
    ...shown.dropped.map((loss) => make("li", {},
      make("strong", { textContent: loss.kind }), ` ${many(loss.count, "piece")}, ${many(loss.characters, "character")}: ${loss.meaning}`,
      ...loss.examples.map((text) => own(text.length < EXAMPLE ? text : `${text}…`, { className: "example", dir: "auto" })))))] : [];

  // What the file tells of its document; only what is an address on the web becomes a link.
  const told = (values) => Object.entries(values).map(([name, all]) => make("p", { className: "told" },
    make("strong", { textContent: visible(name) }), " ", ...all.flatMap((value, place) => [...(place ? [" · "] : []),
      /^https?:\/\//i.test(value)
        ? make("a", { href: value, target: "_blank", rel: "noopener noreferrer", textContent: visible(value) })
        : own(value, { dir: "auto" })])));

  const warnings = (shown, longest) => {
    const found = [];
    if (shown.lost > 0.1) found.push(`${percent(shown.lost)} % of its characters are left out.`);
    if (shown.cut_off) {
      const of = many(shown.passages.length + shown.passages_left_out, "passage");
      found.push(`The encoder cuts ${number.format(shown.cut_off)} of ${of}: it does not see ${many(shown.unseen_tokens, "token")} (marked). encoder.max_passage_length is ${longest}.`);
    }
    return found.map((text) => make("p", { className: "warning", textContent: text }));
  };

  const between = (text, where) => text ? [make("li", { className: "between", dir: "auto" }, make("b", { textContent: where }), own(text))] : [];

  const passage = (one, place) => {
    const about = make("p", { className: "about" }, own(short(one.title), { dir: "auto", title: visible(one.title) }), ` · ${place + 1} · characters ${number.format(one.start)} to ${number.format(one.end)} · ${many(one.tokens, "token")}`);
    const text = make("p", { className: "text", dir: "auto" });
    if (one.seen < one.tokens) {
      about.append(", ", make("span", { className: "cut", textContent: `the encoder sees ${number.format(one.seen)}` }));
      const unseen = visible(one.text.slice(one.cut));
      text.append(visible(one.text.slice(0, one.cut)), make("span", { className: "unseen", title: "not seen by the encoder", textContent: unseen }));
    } else text.textContent = visible(one.text);
    if (one.characters_left_out) text.append(` … and ${many(one.characters_left_out, "more character")}`);
    return make("li", { className: "passage", title: one.passage_id }, about, text);
  };

  const passages = (shown) => {
    const list = make("ol", { className: "passages" });
    shown.passages.forEach((one, place) => {
      one.cut = [...one.text].slice(0, one.seen_end).join("").length; // characters to UTF-16
      list.append(...between(one.between, "In no passage"), passage(one, place));
    });
    list.append(...between(shown.rest, "In no passage"));
    if (shown.passages_left_out) list.append(make("li", { className: "soft", textContent: `and ${many(shown.passages_left_out, "more passage")} (embed-pipeline preview --json has all)` }));
    return list;
  };

  const part = (label, build, open) => {
    const details = make("details", {}, make("summary", { textContent: label }));
    const fill = () => { if (details.open && details.children.length === 1) details.append(build()); };
    details.addEventListener("toggle", fill);
    details.open = open;
    fill();
    return details;
  };

  const card = (shown, longest, open) => {
    const count = shown.passages.length + shown.passages_left_out;
    const [least, most] = shown.token_range;
    const range = !count ? "" : least === most ? `, ${many(most, "token")}` : `, ${number.format(least)} to ${many(most, "token")}`;
    const facts = [shown.language, many(shown.characters, "character"), many(shown.sections.length + shown.sections_left_out, "section")];
    const sections = () => make("ul", { className: "sections" }, ...shown.sections.map((one) => {
      const item = make("li", { dir: "auto" }, own(one.heading));
      item.style.marginInlineStart = `${Math.min(one.level - 1, 6)}rem`;
      return item;
    }));
    return make("article", { className: "document" },
      make("h2", {}, own(shown.doc_id, { className: "path" })),
      make("p", { className: "title", dir: "auto", title: visible(shown.title), textContent: visible(short(shown.title, 250)) }),
      make("p", { className: "facts" }, ...facts.map((text) => make("span", { textContent: text }))),
      ...(shown.path === shown.doc_id ? [] : [make("p", { className: "soft" }, "from ", own(shown.path))]),
      ...told(shown.metadata), ...warnings(shown, longest), ...losses(shown),
      ...(shown.sections.length ? [part("Sections", sections, false)] : []),
      part(many(count, "passage") + range, () => passages(shown), open));
  };

  // -- everything

  const cell = (text) => make("td", {}, own(text));
  const figure = (value) => make("td", { className: "number", textContent: number.format(value) });

  const show = (found) => {
    const of = `${number.format(found.chosen)} of ${many(found.matching, "document")}`;
    const called = found.names.length ? ` called so (of ${number.format(found.readable)})` : "";
    const random = found.chosen < found.matching ? ", chosen at random" : "";
    say(`${visible(found.corpus)}\n${of}${called}${random} · ${found.settings.join(" · ")}`);
    byId("warnings").replaceChildren(...found.warnings.map((text) => make("p", { className: "warning", textContent: visible(text) })));
    byId("totals").hidden = !found.dropped.length;
    byId("totals").querySelector("tbody").replaceChildren(...found.dropped.map((row) => make("tr", {},
      cell(row.kind), figure(row.count), figure(row.characters), figure(row.documents), cell(row.meaning))));
    byId("documents").replaceChildren(...found.documents.map((one, place) => card(one, found.longest, place === 0)));
    const count = found.skipped.length + found.skipped_left_out;
    byId("skipped").hidden = !count;
    byId("skipped").querySelector("summary").textContent = `${many(count, "file")} or documents skipped`;
    byId("skipped").querySelector("details").open = found.names.length > 0;
    byId("skipped").querySelector("tbody").replaceChildren(...found.skipped.map((row) => make("tr", {}, cell(row.path), cell(row.reason))));
    byId("skipped").querySelector("p").textContent = found.skipped_left_out ? `and ${many(found.skipped_left_out, "more", "more")} (embed-pipeline preview --json has all)` : "";
  };

  const wanted = () => {
    const names = byId("names").value.split("|").map((name) => name.trim()).filter((name) => name);
    return new URLSearchParams([...names.map((name) => ["name", name]), ["count", byId("count").value], ["seed", byId("seed").value]]);
  };
  const load = async (remember) => {
    const mine = ++asked;
    const query = wanted();
    for (const button of document.querySelectorAll("button")) button.disabled = true;
    const done = waiting(here, "Reading …");
    try {
      const found = await call(`${here}/documents?${query}`);
      done();
      if (mine !== asked) return;
      show(found);
      if (remember) history.pushState(null, "", `${location.pathname}?${query}`);
    } catch (error) {
      done();
      if (mine === asked) complain(error);
    } finally {
      for (const button of document.querySelectorAll("button")) button.disabled = false;
    }
  };

  byId("choose").onsubmit = (event) => { event.preventDefault(); load(true); };
  byId("others").onclick = () => { byId("seed").value = Number(byId("seed").value) + 1; load(true); };
  const fromAddress = () => {
    const given = new URLSearchParams(location.search);
    byId("names").value = given.getAll("name").join(" | ");
    byId("count").value = given.get("count") ?? 10;
    byId("seed").value = given.get("seed") ?? 0;
    load(false);
  };
  addEventListener("popstate", fromAddress);

  (async () => {
    try {
      greet(await call(`${here}/state`));
    } catch (error) {
      complain(error);
      return;
    }
    fromAddress();
  })();
})();
