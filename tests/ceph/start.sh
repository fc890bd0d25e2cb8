#!/bin/bash
# A Ceph of one node with an S3 gateway on the loopback, as ordinary processes, from Debian's
# packages radosgw, ceph-mon and ceph-osd. Everything it writes is below the folder RUN; its
# processes have their ids in RUN/*.pid, and are ended by them.
# start.sh RUN PORT MONPORT: S3 at 127.0.0.1:PORT, with the key KEY and the secret SECRET.
set -eu
run=$1 port=$2 monitor=$3
export CEPH_CONF=$run/ceph.conf
mkdir -p "$run/mon" "$run/osd" "$run/rgw" "$run/log"
cluster=$(cat /proc/sys/kernel/random/uuid)
osd=$(cat /proc/sys/kernel/random/uuid)
cat >"$CEPH_CONF" <<CONF
[global]
fsid = $cluster
mon host = [v1:127.0.0.1:$monitor/0]
public network = 127.0.0.0/8
keyring = $run/keyring
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon warn on pool no redundancy = false
osd crush chooseleaf type = 0
run dir = $run
admin socket = $run/\$name.asok
pid file = $run/\$name.pid
log file = $run/log/\$name.log
osd class load list = *
osd class default list = *
setuser match path = $run
ms bind msgr2 = false
[mon]
mon data = $run/mon
mon initial members = a
mon data avail crit = 1
paxos propose interval = 0.1
[osd]
osd data = $run/osd
osd objectstore = bluestore
bluestore block size = 4294967296
bluestore fsck on mount = false
osd max object name len = 256
[client]
rgw data = $run/rgw
rgw frontends = beast endpoint=127.0.0.1:$port
rgw enable usage log = false
CONF
# With keys: without authentication, a client may send a command before it knows the cluster's
# id, and is refused.
keys() { ceph-authtool "$run/keyring" "$@" >/dev/null; }
keys --create-keyring --gen-key -n mon. --cap mon 'allow *'
keys --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *'
keys --gen-key -n client.rgw --cap mon 'allow rw' --cap osd 'allow rwx'
keys --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
monmaptool --create --fsid "$cluster" --addv a "[v1:127.0.0.1:$monitor]" "$run/monmap" >/dev/null
ceph-mon --mkfs -i a --monmap "$run/monmap" --keyring "$run/keyring"
ceph-mon -i a
ceph osd new "$osd"
ceph-osd -i 0 --mkfs --osd-uuid "$osd"
ceph-osd -i 0
# Before the gateway runs: with both, each waits for the other's answer to a notice.
radosgw-admin user create --uid=t --display-name=t --access-key="$KEY" --secret-key="$SECRET"
radosgw -n client.rgw
