/** What Cloud Run starts, as its API writes it: the parts that the rehearsal heeds. */

export interface EnvVar {
  name: string;
  value?: string;
  valueSource?: { secretKeyRef: { secret: string; version: string } };
}

export interface Container {
  image: string;
  command?: string[];
  args?: string[];
  env?: EnvVar[];
}

/** Who runs, and what is reached beside the Internet: sockets of Cloud SQL, private addresses. */
export interface Place {
  serviceAccount: string;
  volumes?: { cloudSqlInstance?: { instances: string[] } }[];
  vpcAccess?: object;
}

export interface Template extends Place {
  timeout: string;
  revision?: string;
  containers: Container[];
}
