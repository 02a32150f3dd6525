import type { Filter } from '@aws-sdk/client-ec2';

/**
 * A filter that matches exactly `value`. EC2 reads * and ? in filter values as wildcards and \ as their escape (AWS
 * "Listing and filtering using the CLI and API"); values are case-sensitive and at most 255 characters.
 */
export function exactFilter(name: string, value: string): Filter {
  return { Name: name, Values: [value.replace(/[*?\\]/g, '\\$&')] };
}
