#!/bin/bash
# A Ceph of one node with an S3 gateway on the loopback, as ordinary processes, from Debian's
# packages radosgw, ceph-mon and ceph-osd. Everything it writes is below the folder RUN; its
# processes have their ids in RUN/*.pid, and are ended by them.
# start.sh RUN PORT MONPORT: S3 at 127.0.0.1:PORT, with the key KEY and the secret SECRET.
set -eu
run=$1 port=$2 monitor=$3
export CEPH_CONF=$run/ceph.conf
mkdir -p "$run/mon" "$run/osd" "$run/rgw" "$run/log"
id=$(cat /proc/sys/kernel/random/uuid)
cat >"$CEPH_CONF" <<END
[global]
fsid = $id
mon host = [v1:127.0.0.1:$monitor/0]
public network = 127.0.0.0/8
auth cluster required = none
auth service required = none
auth client required = none
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
END
monmaptool --create --fsid "$id" --addv a "[v1:127.0.0.1:$monitor]" "$run/monmap" >/dev/null
ceph-mon --mkfs -i a --monmap "$run/monmap"
ceph-mon -i a
osd=$(ceph osd new "$(cat /proc/sys/kernel/random/uuid)")
uuid=$(ceph osd dump -f json | python3 -c 'import json,sys;print(json.load(sys.stdin)["osds"][0]["uuid"])')
ceph-osd -i "$osd" --mkfs --osd-uuid "$uuid"
ceph osd crush add "osd.$osd" 1.0 host=localhost root=default
ceph-osd -i "$osd"
radosgw -n client.rgw
radosgw-admin user create --uid=t --display-name=t --access-key="$KEY" --secret-key="$SECRET"
