// The sandbox's clock, moved as `hufu sandbox clock advance` moves it: by who can read the data folder.

import { readFileSync } from "node:fs";
import { join } from "node:path";

export async function advance(ready, seconds) {
  const { url, token } = JSON.parse(readFileSync(join(ready.data, "control.json"), "utf8"));
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const answer = await fetch(`${url}/v1/clock`, { method: "POST", headers, body: JSON.stringify({ seconds }) });
  if (!answer.ok) throw new Error(`the clock did not move: ${answer.status}`);
}
