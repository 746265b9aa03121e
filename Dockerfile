# octet on Debian 12: docker build -t octet . && docker run --rm octet --version
# With training (1 GB more): docker build --build-arg SETUP=train -t octet .
FROM debian:12
ARG SETUP=
WORKDIR /octet
COPY . .
RUN tools/setup.sh $SETUP && make install PREFIX=/usr/local CMAKE_ARGS=-DOCTET_TESTS=OFF
ENTRYPOINT ["octet"]
