"""Users & companies: the companies, listed, added and renamed."""

from __future__ import annotations

from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from wtforms import StringField

from webapp.desk import people
from webapp.desk.people import Refused
from webapp.models import Company, Role
from webapp.views import current
from webapp.views.access import requires
from webapp.views.forms import DeskForm
from webapp.views.paging import filter_text, page_number
from webapp.views.people import ID, actor, may
from webapp.views.queries import people as queries

blueprint = Blueprint("companies", __name__, url_prefix="/companies")


class CompanyForm(DeskForm):
    name = StringField("Name")


@blueprint.get("")
@requires(Role.VIEWER)
def index() -> ResponseReturnValue:
    text = filter_text("q")
    with current.instance().database.reading() as session:
        page = queries.list_companies(session, text, page_number())
        any_company = bool(page.items) or queries.any_company(session)
    return render_template("companies/index.html", page=page, text=text, any_company=any_company, **may())


@blueprint.get("/new")
@requires(Role.TECHNICIAN)
def new() -> ResponseReturnValue:
    return render_template("companies/edit.html", form=CompanyForm(), company_id=None)


@blueprint.post("/new")
@requires(Role.TECHNICIAN)
def create() -> ResponseReturnValue:
    form = CompanyForm()
    try:
        with current.instance().database.writing() as session:
            company = people.create_company(session, form.name.data or "", now=current.now(), actor=actor())
    except Refused as refused:
        return _refused(form, refused, None)
    flash(f"{company.name} added.", "good")
    return redirect(url_for("companies.index"), 303)


@blueprint.get(f"/<{ID}:company_id>/edit")
@requires(Role.TECHNICIAN)
def edit(company_id: int) -> ResponseReturnValue:
    with current.instance().database.reading() as session:
        company = session.get(Company, company_id) or abort(404, "There is no such company.")
    form = CompanyForm(formdata=None, data={"name": company.name})
    return render_template("companies/edit.html", form=form, company_id=company_id)


@blueprint.post(f"/<{ID}:company_id>/edit")
@requires(Role.TECHNICIAN)
def save(company_id: int) -> ResponseReturnValue:
    form, name = CompanyForm(), ""
    try:
        with current.instance().database.writing() as session:
            company = session.get(Company, company_id) or abort(404, "There is no such company.")
            people.rename_company(session, company, form.name.data or "", now=current.now(), actor=actor())
            name = company.name
    except Refused as refused:
        return _refused(form, refused, company_id)
    flash(f"{name} saved.", "good")
    return redirect(url_for("companies.index"), 303)


def _refused(form: CompanyForm, refused: Refused, company_id: int | None) -> ResponseReturnValue:
    for field, sentence in refused.errors.items():
        form.refuse(sentence, field)
    return render_template("companies/edit.html", form=form, company_id=company_id), 422
