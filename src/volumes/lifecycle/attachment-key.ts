import type { Attachment, AttachmentKey } from '../../ebs/types.ts';
import type { Held } from '../state/held.ts';

/** What names our attachment of a held volume. */
export function keyOf({ volume, instanceId, device }: Held): AttachmentKey {
  return { volumeId: volume.id, instanceId, device };
}

/** True for the attachment that this key names, as long as EC2 keeps it. */
export function isOurs(key: AttachmentKey, attachment: Attachment): boolean {
  return (
    attachment.instanceId === key.instanceId && attachment.device === key.device && attachment.state !== 'detached'
  );
}
