/** An error as EC2 answers it: a code, a message and the HTTP status it comes with. */
export class Ec2Error extends Error {
  readonly code: string;
  readonly status: number;

  constructor(code: string, message: string, status = 400) {
    super(message);
    this.name = 'Ec2Error';
    this.code = code;
    this.status = status;
  }
}

/** The answer to a call without a required parameter. */
export const missing = (parameter: string): Ec2Error =>
  new Ec2Error('MissingParameter', `The request must contain the parameter ${parameter}`);

/** The answer to a parameter whose value EC2 refuses. */
export const invalid = (message: string): Ec2Error => new Ec2Error('InvalidParameterValue', message);
