# Everything is one static program. The target ciranda is for servers and has nothing beside it; client has a shell too.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /out/ciranda ./cmd/ciranda
# Volumes take over the owner of what they cover.
RUN mkdir -p /out/data /out/home && echo 'ciranda:x:65532:65532::/home/ciranda:/bin/sh' >/out/passwd

FROM scratch AS ciranda
COPY --from=build /out/ciranda /ciranda
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build --chown=65532:65532 /out/data /tmp
USER 65532:65532
ENTRYPOINT ["/ciranda"]

FROM busybox:stable AS client
COPY --from=build /out/ciranda /usr/bin/ciranda
COPY --from=build /out/passwd /etc/passwd.ciranda
COPY --from=build --chown=65532:65532 /out/home /home/ciranda
RUN cat /etc/passwd.ciranda >>/etc/passwd && rm /etc/passwd.ciranda
USER 65532:65532
ENV HOME=/home/ciranda
WORKDIR /home/ciranda
# It waits, for others to come in by docker exec, and ends as soon as it is told to.
CMD ["sh", "-c", "trap exit TERM INT; while :; do sleep 3600 & wait $!; done"]
