/** The page: the verdict, the panels below it, and at the bottom of the window how the last press of a button went. */
import { PANELS } from "./panels/all.ts";
import { Verdict } from "./panels/verdict.tsx";
import { about, said } from "./state.ts";

export function App() {
  const { place, isProd, canWrite } = about.value ?? {};
  return (
    <>
      <header>
        <h1>Spillway</h1>
        <p class="place">
          {place !== undefined && `supervisor ${place}`}
          {isProd && <strong>{canWrite ? " production, may write" : " production, read-only"}</strong>}
        </p>
      </header>
      <main>
        <Verdict />
        {about.value !== null &&
          PANELS.filter(({ isLocalOnly }) => !(isLocalOnly && isProd)).map(({ id, Component }) => (
            <Component key={id} />
          ))}
        <Said />
      </main>
    </>
  );
}

/** How the last press of a button went. The paragraph is there before, because screen readers only say what changes in it. */
const Said = () => (
  <div class={said.value === "" ? undefined : "said"}>
    <p id="said" role="status">
      {said.value}
    </p>
    {said.value !== "" && (
      <button type="button" onClick={() => (said.value = "")}>
        Close
      </button>
    )}
  </div>
);
