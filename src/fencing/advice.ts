/** What an operator is told to do about an owner: commands that work as they stand. Pure. */
import type { Instance } from '../ebs/types.ts';
import { shellWord } from '../errors.ts';
import type { Owned } from './types.ts';

/** How people know an instance: by its Name tag and its address in the VPC, a clause each. */
export function knownAs({ tags, privateIp }: Instance): string[] {
  const name = tags['Name'] ?? '';
  return [
    ...(name === '' ? [] : [`its name is ${JSON.stringify(name)}`]),
    ...(privateIp === undefined ? [] : [`its address is ${privateIp}`]),
  ];
}

/** What to do about an owner that runs. An operator's word is not among it: that is refused while the owner may write. */
export const stopIt = (id: string): string =>
  `If ${id} is well, stop the container that uses the volume there (docker-volume-ebs status there names it), or wait a ` +
  `moment if none does any more. If ${id} has failed, type ${stopCommand(id)}, and try again: the volume is taken over then`;

const stopCommand = (id: string): string =>
  `aws ec2 stop-instances --instance-ids ${id} and then aws ec2 wait instance-stopped --instance-ids ${id}`;

/** What ends an attachment where nobody may be fenced. */
export function detachByHand({ attachment, instanceId }: Owned): string {
  const { volumeId, device } = attachment;
  return (
    `If ${instanceId} is well, stop the container that uses the volume there, or wait a moment if none does any more. If ` +
    `${instanceId} has failed, type ${stopCommand(instanceId)}, and then aws ec2 detach-volume --volume-id ${volumeId} ` +
    `--instance-id ${instanceId} --device ${device}, and try again`
  );
}

/** The command by which an operator gives their word; the reason is theirs to write. */
export const confirmCommand = ({ name, instanceId }: Pick<Owned, 'name' | 'instanceId'>): string =>
  `docker-volume-ebs fence confirm ${name === undefined ? 'VOLUME' : shellWord(name)} --victim ${instanceId} --reason REASON`;
