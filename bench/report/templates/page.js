// Filter, sort and open state, kept in the fragment: #verdict=contradicted&sort=difference&open=H3,H14
"use strict";
const claims = [...document.querySelectorAll("tbody.claim")];
const tiles = [...document.querySelectorAll(".tile")];
const state = { verdict: "", sort: "claim", open: new Set() };
const box = (claim) => claim.querySelector("details");
const key = { claim: (c) => +c.dataset.order, verdict: (c) => +c.dataset.rank, difference: (c) => -c.dataset.far };

function read() {
  const text = location.hash.slice(1);
  const plain = claims.some((claim) => claim.id === text);
  const asked = new URLSearchParams(plain ? "" : text);
  if (text && !plain && !["verdict", "sort", "open"].some((name) => asked.has(name))) return;
  const wanted = (asked.get("verdict") || "").replaceAll("-", " ");
  if (!plain) {
    state.verdict = tiles.some((tile) => tile.dataset.verdict === wanted) ? wanted : "";
    state.sort = asked.get("sort") in key ? asked.get("sort") : "claim";
    state.open = new Set((asked.get("open") || "").split(",").filter(Boolean));
  } else {
    state.open.add(text);
    if (document.getElementById(text).dataset.verdict !== state.verdict) state.verdict = "";
  }
  show();
  if (plain) document.getElementById(text).scrollIntoView();
}

function write() {
  const parts = [];
  if (state.verdict) parts.push("verdict=" + state.verdict.replaceAll(" ", "-"));
  if (state.sort !== "claim") parts.push("sort=" + state.sort);
  if (state.open.size) parts.push("open=" + [...state.open].join(","));
  history.replaceState(null, "", parts.length ? "#" + parts.join("&") : location.pathname + location.search);
}

function show() {
  for (const claim of claims) {
    claim.hidden = Boolean(state.verdict) && claim.dataset.verdict !== state.verdict;
    box(claim).open = state.open.has(claim.id);
  }
  for (const tile of tiles) tile.setAttribute("aria-pressed", String(tile.dataset.verdict === state.verdict));
  for (const table of document.querySelectorAll("table.claims")) {
    const own = [...table.tBodies].sort((a, b) => key[state.sort](a) - key[state.sort](b) || a.dataset.order - b.dataset.order);
    table.append(...own);
    for (const head of table.querySelectorAll("[data-sort]")) {
      const order = head.dataset.sort === "difference" ? "descending" : "ascending";
      head.setAttribute("aria-sort", head.dataset.sort === state.sort ? order : "none");
    }
    const line = table.closest("section").querySelector(".shown");
    line.hidden = !state.verdict;
    line.firstChild.textContent = `${own.filter((claim) => !claim.hidden).length} of ${own.length} claims: ${state.verdict}.`;
  }
}

function change(edit) { edit(); show(); write(); }

for (const line of document.querySelectorAll(".shown")) {
  const all = document.createElement("button");
  all.textContent = "Show all";
  all.onclick = () => change(() => { state.verdict = ""; });
  line.setAttribute("role", "status");
  line.append("", all);
}
for (const tile of tiles) {
  tile.setAttribute("role", "button");
  tile.onkeydown = (event) => { if (event.key === " ") { event.preventDefault(); tile.click(); } };
  tile.onclick = (event) => {
    event.preventDefault();
    change(() => { state.verdict = state.verdict === tile.dataset.verdict ? "" : tile.dataset.verdict; });
    if (state.verdict) document.querySelector(".claims").closest("section").scrollIntoView();
  };
}
for (const head of document.querySelectorAll("[data-sort]")) {
  const button = document.createElement("button");
  button.append(...[...head.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE));
  head.prepend(button);
  button.onclick = () => change(() => { state.sort = head.dataset.sort; });
}
for (const claim of claims) {
  box(claim).ontoggle = () => {
    if (box(claim).open === state.open.has(claim.id)) return;
    state.open[box(claim).open ? "add" : "delete"](claim.id);
    write();
  };
}
document.documentElement.classList.add("scripted");
addEventListener("hashchange", read);
read();
