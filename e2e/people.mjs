// Whom the journeys enrol: the sandbox's invented people.

/** Somebody else on each run over the same data, and in one run nobody twice. */
const START = Math.random();

/** Reads the list through the browser, which knows where wallet.localhost is. */
export async function adults(device) {
  await device.go("/help");
  const all = await device.page.evaluate(async () => {
    const answer = await fetch("/sandbox/persons.json");
    return answer.ok ? answer.json() : [];
  });
  const born = (person) => Number(person.documents[0].number.slice(6, 10));
  const plain = all.filter((person) => !person.story && person.documents[0].document_type === "resident_identity_card" && born(person) < 2000);
  if (plain.length === 0) throw new Error("the sandbox lists no persons: is /sandbox/persons.json served?");
  const start = Math.floor(START * plain.length);
  return { all, plain: [...plain.slice(start), ...plain.slice(0, start)] };
}

/** The newest code sent to this phone. */
export async function code(ready, phone) {
  return (await message(ready, phone, "enrolment-code")).params.code;
}

/** The newest message made from this template. */
export async function message(ready, phone, template) {
  for (let tries = 0; tries < 50; tries += 1) {
    const answer = await fetch(`${ready.phone}/messages?to=${encodeURIComponent(phone)}`);
    const body = await answer.json();
    const messages = Array.isArray(body) ? body : body.messages;
    const newest = [...messages].sort((a, b) => b.id - a.id).find((one) => one.template === template);
    if (newest) return newest;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`no message ${template} for ${phone}`);
}
