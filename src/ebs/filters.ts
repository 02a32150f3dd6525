import type { Filter } from '@aws-sdk/client-ec2';

/** As many values one call's filters may have (AWS "Listing and filtering using the CLI and API"). */
export const maxFilterValues = 200;

/**
 * A filter that matches exactly these values. EC2 reads * and ? in filter values as wildcards and \ as their escape (AWS
 * "Listing and filtering using the CLI and API"); values are case-sensitive and at most 255 characters.
 */
export function exactFilter(name: string, ...values: readonly string[]): Filter {
  return { Name: name, Values: values.map((value) => value.replace(/[*?\\]/g, '\\$&')) };
}
