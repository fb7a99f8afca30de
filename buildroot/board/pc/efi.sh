# What the boards that start by EFI and GRUB have in common. Sourced by their hooks.
# shellcheck shell=bash

# stage_efi ARCH-FILE: GRUB and its choice of the slot on bootsel, the kernel in the slot.
stage_efi() {
  local efi=$ROOTPATH/bootsel/EFI/BOOT
  mkdir -p "$efi"
  cp "$BINARIES_DIR/efi-part/EFI/BOOT/$1" "$efi/$1"
  sed "s/console=ttyS0,115200/console=$CONSOLE/" "$BR2_EXTERNAL_RATWALL_PATH/board/x86_64_efi/grub.cfg" \
    > "$efi/grub.cfg"
  "$HOST_DIR/bin/grub-editenv" "$efi/grubenv" create
  "$HOST_DIR/bin/grub-editenv" "$efi/grubenv" set ORDER="A B" A_OK=1 A_TRY=0 B_OK=1 B_TRY=0
  cp "$BINARIES_DIR/$KERNEL_FILE" "$ROOTPATH/boot/vmlinuz"
}
