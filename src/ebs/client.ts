import { EC2Client } from '@aws-sdk/client-ec2';

interface Ec2ClientOptions {
  /** Undefined leaves it to the SDK's chain: AWS_REGION, then the profile. */
  readonly region: string | undefined;
  /** How long connecting may take; 2 s unless told. */
  readonly connectionTimeoutMs?: number | undefined;
  /** How long the answer's headers, and then each silence in its body, may take; 15 s unless told. */
  readonly requestTimeoutMs?: number | undefined;
}

/**
 * The AWS SDK's EC2 client with bounded times, through the HTTPS proxy that the environment names. It makes one attempt, as attempts.ts paces and repeats calls. Credentials
 * and endpoint come from the SDK's standard chain (it honours AWS_ENDPOINT_URL_EC2); nothing is read or sent before the first
 * call.
 */
export function openEc2Client(options: Ec2ClientOptions): EC2Client {
  const { region, connectionTimeoutMs = 2_000, requestTimeoutMs = 15_000 } = options;
  return new EC2Client({
    ...(region === undefined ? {} : { region }),
    maxAttempts: 1,
    userAgentAppId: 'docker-volume-ebs',
    requestHandler: {
      connectionTimeout: connectionTimeoutMs,
      requestTimeout: requestTimeoutMs,
      // Without this the SDK only logs a warning and waits on.
      throwOnRequestTimeout: true,
      // requestTimeout ends with the headers; for a body that stalls the EC2 client's own default is 900 s.
      socketTimeout: requestTimeoutMs,
      // The SDK's own agent knows no proxy; Node's reads HTTPS_PROXY and NO_PROXY from here.
      httpsAgent: { proxyEnv: process.env },
    },
  });
}
