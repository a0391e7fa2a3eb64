/** The page: the verdict, and the panels below it. */
import { Fragment } from "preact";
import { PANELS } from "./panels/all.ts";
import { Verdict } from "./panels/verdict.tsx";
import { about } from "./state.ts";

export function App() {
  const { place, isProd, canWrite } = about.value ?? {};
  return (
    <>
      <header>
        <h1>Spillway</h1>
        <p class="place">
          {place}
          {isProd && <strong>{canWrite ? " production, may write" : " production, read-only"}</strong>}
        </p>
      </header>
      <main>
        <Verdict />
        {about.value !== null &&
          PANELS.filter(({ isLocalOnly }) => !(isLocalOnly && isProd)).map(({ id, Component }) => (
            <Fragment key={id}>
              <Component />
            </Fragment>
          ))}
      </main>
    </>
  );
}
