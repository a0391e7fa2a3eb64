/** The same test event by curl, fetch and Python. The key stays in an environment variable: the page does not know it. */

export interface Snippet {
  name: string;
  text: string;
}

/** `event`: JSON text, as it stands in the box. */
export function snippetsOf(ingestUrl: string, stream: string, event: string): Snippet[] {
  const url = `${ingestUrl}/v1/${stream}`;
  return [
    { name: "curl", text: curl(url, event) },
    { name: "fetch", text: fetchOf(url, event) },
    { name: "Python", text: python(url, event) },
  ];
}

const curl = (url: string, event: string): string =>
  `curl -sS -X POST ${url} \\
  -H "Authorization: Bearer $SPILLWAY_API_KEY" \\
  -H 'Content-Type: application/json' \\
  -d '${compact(event).replaceAll("'", "'\\''")}'`;

const fetchOf = (url: string, event: string): string =>
  `const response = await fetch("${url}", {
  method: "POST",
  headers: {
    authorization: \`Bearer \${process.env.SPILLWAY_API_KEY}\`,
    "content-type": "application/json",
  },
  body: ${literal(compact(event))},
});
console.log(response.status, await response.json());`;

const python = (url: string, event: string): string =>
  `import json, os, urllib.request

request = urllib.request.Request(
    "${url}",
    data=r'''${compact(event).replaceAll("'''", "\\u0027\\u0027\\u0027")}'''.encode(),
    headers={
        "Authorization": "Bearer " + os.environ["SPILLWAY_API_KEY"],
        "Content-Type": "application/json",
    },
)
with urllib.request.urlopen(request) as response:
    print(response.status, json.load(response))`;

/** In one line, if it is JSON; else as it is. No number, name or escape is written anew: JavaScript's numbers are shorter. */
function compact(event: string): string {
  return isJson(event) ? event.replaceAll(/("(?:[^"\\]|\\.)*")|\s+/g, "$1") : event;
}

/** As an object to read, unless JavaScript would send another event then: as a string. */
function literal(json: string): string {
  const isSame = isJson(json) && JSON.stringify(JSON.parse(json)) === json && !json.includes("__proto__");
  return isSame ? `JSON.stringify(${json})` : JSON.stringify(json);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
