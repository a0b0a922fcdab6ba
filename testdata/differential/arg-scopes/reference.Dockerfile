ARG base=busybox
ARG global=outer
FROM 127.0.0.1:5000/library/${base} AS first
RUN echo "undeclared:$global" > /one
ARG global
RUN echo "declared:$global" >> /one
ARG local=mine
RUN echo "$local" >> /one
FROM first AS child
ARG local=mine
ARG global
RUN echo "inherited:$local:$global" > /two
FROM 127.0.0.1:5000/library/busybox
RUN echo "fresh:$local:$global" > /three
ARG global=inner
RUN echo "overridden:$global" >> /three
COPY --from=first /one /one
COPY --from=child /two /two
