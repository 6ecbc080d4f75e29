#!/bin/sh
# make-certificates.sh DIR NAME [host or address]...
# An authority in DIR (made once: ca.key, ca.crt), and NAME.key and NAME.crt for one nats-server, for clients and for routes.
# "localhost" is always among the names: the client library checks it where a server is named by its address.
set -eu
dir=$1 name=$2
shift 2
umask 077
mkdir -p "$dir"
if [ ! -s "$dir/ca.crt" ]; then
  openssl ecparam -name prime256v1 -genkey -noout -out "$dir/ca.key"
  openssl req -x509 -new -key "$dir/ca.key" -sha256 -days 3650 -subj "/CN=Berth NATS" -out "$dir/ca.crt" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
fi
names=DNS:localhost
for one in "$@"; do
  case $one in
    *[!0-9.]*) case $one in *:*) names=$names,IP:$one ;; *) names=$names,DNS:$one ;; esac ;;
    *) names=$names,IP:$one ;;
  esac
done
openssl ecparam -name prime256v1 -genkey -noout -out "$dir/$name.key"
openssl req -x509 -new -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -key "$dir/$name.key" -sha256 -days 397 \
  -subj "/CN=$name" -out "$dir/$name.crt" \
  -addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature \
  -addext extendedKeyUsage=serverAuth,clientAuth -addext "subjectAltName=$names"
