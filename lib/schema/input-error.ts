/** One thing that is wrong with an event, as its sender is told. */
export interface InputError {
  /** The field, its parts joined by dots; "" for the event itself. */
  path: string;
  message: string;
}
