/**
 * Spillway in an Expo app. First line of the app's entry: `import "react-native-get-random-values"`. Then:
 *
 *   import AsyncStorage from "@react-native-async-storage/async-storage";
 *   import { AppState } from "react-native";
 *   export const spillway = openSpillway(AsyncStorage, AppState);
 */
import { createClient, type KeyValueStorage, keyValue, type SpillwayClient } from "spillway/client";

interface Streams {
  locations: { userId: string; lat: number; lng: number; recordedAt: string };
}

/** What is used of React Native's AppState. */
interface AppStates {
  addEventListener(type: "change", listener: (state: string) => void): unknown;
}

export function openSpillway(storage: KeyValueStorage, appState: AppStates): SpillwayClient<Streams> {
  const spillway = createClient<Streams>({
    url: "https://ingest.example.com",
    key: "spw_pub_…",
    store: keyValue(storage),
  });
  appState.addEventListener("change", (state) => {
    if (state !== "active") void spillway.flush({ withinMs: 5000 });
  });
  return spillway;
}
